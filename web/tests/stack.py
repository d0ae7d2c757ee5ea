"""The real stack on loopback: nginx in front of gunicorn, with deploy/'s own files, as the
roles of deploy/sql.

    with Stack(directory) as stack:
        stack.url       https://localhost:PORT, by a certificate of its own
        stack.logs()    all that nginx, gunicorn, Django and PostgreSQL have logged

The database server is the one that PGHOST names, a private one that tools/lib.sh started:
it trusts whoever connects, and its superuser has this process's name. The first stack
makes the database, the others use it. `python tests/stack.py DIRECTORY` is what tools/web
runs: plain HTTP, until a signal ends it.

Nothing outlives it: no process, not even if this one is killed, no socket, and no file
outside of `directory`.
"""

import argparse
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

WEB = Path(__file__).resolve().parents[1]
DEPLOY = WEB / "deploy"
DATABASE = "burn_note"
START_SECONDS = 180
PATIENCE_SECONDS = 300

NGINX = """
daemon off;
worker_processes 1;
pid {d}/nginx.pid;
error_log {d}/logs/nginx-error.log;
events {{}}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {d}/temp/body;
    proxy_temp_path {d}/temp/proxy;
    fastcgi_temp_path {d}/temp/fastcgi;
    uwsgi_temp_path {d}/temp/uwsgi;
    scgi_temp_path {d}/temp/scgi;
    include {deploy}/nginx/burn_note_http.conf;
    upstream burn_note {{
        server unix:{d}/web.sock;
    }}
    server {{
        {listen}
        {tls}
        access_log {d}/logs/nginx-access.log burn_note;
        error_log {d}/logs/nginx-server-error.log emerg;
        set $burn_note_static {d}/static;
        {server}
    }}
}}
"""

TLS = """
        ssl_certificate {d}/certificate.pem;
        ssl_certificate_key {d}/key.pem;
        include {deploy}/nginx/burn_note_tls.conf;
        {http2}
"""


def dying_with_us(*command):
    """The kernel tells the child when this process ends, however it does."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *map(str, command)]


def environment(role, **variables):
    """Of the database's programs, as `role`, or as superuser if that is None."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PGUSER", "PGDATABASE")}
    if role:
        kept["PGUSER"] = role
    return kept | variables


def psql(*arguments, database=DATABASE, role=None):
    command = ["psql", "-XqtA", "-d", database, *map(str, arguments)]
    return subprocess.run(
        command, env=environment(role), check=True, capture_output=True, text=True
    ).stdout


def free_port(wanted=0):
    """`wanted` if nobody listens there, else any, on each loopback address."""
    while True:
        try:
            with ExitStack() as sockets:
                port = wanted
                for family, address in loopback():
                    listener = sockets.enter_context(socket.socket(family))
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    listener.bind((address, port))
                    port = listener.getsockname()[1]
                return port
        except OSError:
            wanted = 0


def loopback():
    """The addresses of this machine's loopback; not every machine has IPv6's."""
    found = [(socket.AF_INET, "127.0.0.1")]
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            found.append((socket.AF_INET6, "::1"))
    except OSError:
        pass
    return found


UNLIMITED = {
    f"BURN_NOTE_UNREAD_PER_{what}": "1000000" for what in ("ADDRESS", "SITE", "NETWORK")
}


class Stack:
    """`limits`: whether nginx counts requests, or only looks on. `shares`: whether the app
    limits a network's unread notes: those of all stacks, which share a database. `server`:
    the directives in its server block, in place of those of deploy/nginx.
    `variables`: more of the environment."""

    def __init__(
        self, directory, *, tls=True, port=0, limits=True, shares=False, server=None, **variables
    ):
        self.directory = Path(directory)
        self.tls = tls
        self.port = free_port(port)
        self.limits = limits
        self.server = server or (
            f"include {DEPLOY}/nginx/burn_note_server.conf;"
            f"include {DEPLOY}/nginx/burn_note_errors.conf;"
        )
        self.variables = ({} if shares else UNLIMITED) | variables
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"
        self.children = []

    def __enter__(self):
        with ExitStack() as undo:
            undo.callback(self.stop)
            for name in ("logs", "temp"):
                (self.directory / name).mkdir(parents=True, exist_ok=True)
            self.environment = environment(
                "burn_note_web",
                PGDATABASE=DATABASE,
                SECRET_KEY=secrets.token_urlsafe(50),
                ALLOWED_HOSTS="localhost,127.0.0.1,[::1],notes.example.org",
                STATIC_ROOT=str(self.directory / "static"),
                BURN_NOTE_HTTPS="on" if self.tls else "off",
                **self.variables,
            )
            self.make_database()
            self.manage("collectstatic", "--no-input", "-v0")
            self.manage("burn_note_error_pages")
            self.start_gunicorn()
            self.start_nginx()
            self.wait_until_answered()
            undo.pop_all()
        return self

    def __exit__(self, *_):
        self.stop()

    def manage(self, *arguments, role="burn_note_web"):
        """Runs a management command as `role`; returns what it printed."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=WEB,
            env=self.environment | {"PGUSER": role},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def make_database(self):
        if psql("-c", f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'", database="postgres"):
            return
        psql("-f", DEPLOY / "sql/roles.sql", database="postgres")
        self.manage("migrate", "--no-input", "-v0", role="burn_note_owner")
        psql("-f", DEPLOY / "sql/grants.sql")

    def start_gunicorn(self):
        self.start(
            "gunicorn",
            *(sys.executable, "-m", "gunicorn", "-c", DEPLOY / "gunicorn.conf.py"),
            *("--bind", f"unix:{self.directory}/web.sock"),
        )

    def start_nginx(self):
        d = self.directory
        if self.tls:
            subprocess.run(
                ["openssl", "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
                + ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
                + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]
                + ["-keyout", d / "key.pem", "-out", d / "certificate.pem"],
                check=True,
                capture_output=True,
            )
        ends = (" ssl;" if http2_on() else " ssl http2;") if self.tls else ";"
        hosts = [f"[{a}]" if ":" in a else a for _, a in loopback()]
        configuration = NGINX.format(
            d=d,
            deploy=DEPLOY,
            listen=" ".join(f"listen {host}:{self.port}{ends}" for host in hosts),
            tls=TLS.format(d=d, deploy=DEPLOY, http2=http2_on()) if self.tls else "",
            server=self.server + ("" if self.limits else "\nlimit_req_dry_run on;"),
        )
        (d / "nginx.conf").write_text(configuration)
        self.start("nginx", nginx(), "-e", d / "logs/nginx-start.log", "-c", d / "nginx.conf")

    def start(self, name, *command):
        """In a session of its own: a Ctrl-C is for this process, which then ends it."""
        with (self.directory / f"logs/{name}.log").open("ab") as log:
            child = subprocess.Popen(
                dying_with_us(*command),
                cwd=WEB,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.children.append(child)

    def stop(self):
        while self.children:
            child = self.children.pop()
            child.terminate()
            child.wait()

    def alive(self):
        return all(child.poll() is None for child in self.children)

    def urlopen(self, path="/", **options):
        return urllib.request.urlopen(self.url + path, context=self.trust(), **options)

    def trust(self):
        """Believes the stack's own certificate, and no other."""
        if self.tls:
            return ssl.create_default_context(cafile=self.directory / "certificate.pem")

    def wait_until_answered(self):
        deadline = time.monotonic() + START_SECONDS
        while self.alive() and time.monotonic() < deadline:
            try:
                self.urlopen().close()
                return
            except urllib.error.HTTPError as error:
                if error.code not in (502, 503):
                    break
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"{self.url} does not answer:\n{self.own_logs()}")

    def logs(self):
        server_log = psql("-c", "SELECT current_setting('data_directory')").strip() + "/server.log"
        return self.own_logs() + Path(server_log).read_text(errors="replace")

    def own_logs(self):
        return "".join(p.read_text(errors="replace") for p in self.directory.glob("logs/*.log"))


def wait_until(condition, what):
    """AssertionError, which says what, where the condition does not come to hold."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def nginx():
    return "/usr/sbin/nginx"


def http2_on():
    """How an nginx from 1.25.1 on is told; `listen` does it before."""
    said = subprocess.run([nginx(), "-v"], capture_output=True, text=True).stderr
    version = tuple(map(int, re.search(r"nginx/([\d.]+)", said)[1].split(".")))
    return "http2 on;" if version >= (1, 25, 1) else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()

    def on_signals(handler):
        for name in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(name, handler)

    def leave(number, _frame):
        on_signals(lambda *_: None)
        sys.exit(128 + number)

    on_signals(leave)
    with Stack(arguments.directory, tls=False, port=arguments.port, shares=True) as stack:
        print(f"\n    {stack.url}\n", flush=True)
        while stack.alive():
            time.sleep(0.5)
        sys.exit(stack.own_logs())


if __name__ == "__main__":
    main()
