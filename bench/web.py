"""What bench/web runs once the servers are there: gunicorn twice, and the clients."""

import argparse
import html
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, urlencode

sys.path.insert(0, str(Path(__file__).parents[1] / "web/tests"))

from stack import DEPLOY, Stack, dying_with_us  # noqa: E402

NOTE = "the wifi password is correct-horse-battery-staple"
FORM = "application/x-www-form-urlencoded"


class Site:
    """`requests`: by name, what a client sends and how to take from the answers what the
    next one needs. `steps`: how a note goes."""

    def __init__(self, path, child):
        self.path, self.child = path, child

    def ask(self, method, path, headers=(), fields=None):
        """Returns the answer's head and body."""
        body = urlencode(fields or {}).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "X-Forwarded-Proto: https", *headers]
        if fields:
            lines += [f"Content-Type: {FORM}", f"Content-Length: {len(body)}"]
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self.path))
            server.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
            answer = b"".join(iter(lambda: server.recv(65536), b""))
        head, _, body = answer.decode().partition("\r\n\r\n")
        return head, body

    def wait(self):
        while True:
            try:
                return self.ask("GET", "/")
            except OSError:
                if self.child.poll() is not None:
                    raise
                time.sleep(0.1)

    def cpu(self):
        """Seconds of gunicorn's worker."""
        (worker,) = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class BurnNote(Site):
    name = "burn_note"

    def begin(self):
        head, body = self.wait()
        cookie = re.search(r"^Set-Cookie: ([^;]+)", head, re.M | re.I)[1]
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', body)[1]
        self.fields = {"csrfmiddlewaretoken": token, "passphrase": ""}
        self.headers = [f"Cookie: {cookie}", "Referer: https://localhost/", "Origin: https://localhost"]
        self.cookie = cookie
        self.steps = {"create": self.create, "its link": self.share, "reveal": self.reveal}

    def sender(self, number):
        """Each from a network of its own."""
        return f"X-Forwarded-For: 10.{number >> 8 & 255}.{number & 255}.1"

    def create(self, number, _):
        fields = {"text": NOTE, "expires": "day", "custom_number": "3", "custom_unit": "days"}
        head, _ = self.ask("POST", "/", [*self.headers, self.sender(number)], self.fields | fields)
        return (
            re.search(r"^Location: (\S+)", head, re.M | re.I)[1],
            re.search(r"^Set-Cookie: (burn_note_token=[^;]+)", head, re.M | re.I)[1],
        )

    def share(self, number, created):
        path, cookie = created
        headers = [f"Cookie: {self.cookie}; {cookie}", self.sender(number)]
        return re.search(r"/open/#(bn1_[\w-]+)", self.ask("GET", path, headers)[1])[1]

    def reveal(self, number, token):
        headers = [*self.headers, self.sender(number)]
        return self.ask("POST", "/reveal/", headers, self.fields | {"link": token})[1]


class SnapPass(Site):
    name = "SnapPass"

    def begin(self):
        self.wait()
        self.steps = {"create": self.create, "reveal": self.reveal}

    def create(self, number, _):
        _, body = self.ask("POST", "/", fields={"password": NOTE, "ttl": "Day"})
        return re.search(r'value="https?://[^/]+(/snappass[^"]+)"', body)[1]

    def reveal(self, number, path):
        return self.ask("POST", html.unescape(path), fields={"x": "x"})[1]


def measure(site, clients, notes):
    """Returns, for each step of a note, milliseconds and gunicorn's own CPU milliseconds."""
    found = {}
    answers = [None] * notes
    for name, step in site.steps.items():
        began, cpu = time.perf_counter(), site.cpu()
        answers = list(clients.map(step, range(notes), answers))
        found[name] = (
            (time.perf_counter() - began) * 1000 / notes,
            (site.cpu() - cpu) * 1000 / notes,
        )
    wrong = sum(NOTE not in answer for answer in answers)
    if wrong:
        sys.exit(f"{site.name}: {wrong} of {notes} answers have no note")
    return found


def start(name, python, directory, *arguments, **options):
    path = directory / f"{name}.sock"
    command = [python, "-m", "gunicorn", "-c", DEPLOY / "gunicorn.conf.py", "--bind", f"unix:{path}"]
    with (directory / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            dying_with_us(*command, *arguments), stdout=log, stderr=log, **options
        )
    return path, child


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("snappass")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--notes", type=int, default=400)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()

    with ExitStack() as undo:
        stack = undo.enter_context(Stack(options.directory, tls=False))
        web = {"cwd": DEPLOY.parent, "env": stack.environment | {"BURN_NOTE_HTTPS": "on"}}
        sites = [
            BurnNote(*start("burn_note", sys.executable, options.directory, **web)),
            SnapPass(
                *start("snappass", options.snappass, options.directory, "snappass.main:app", cwd="/")
            ),
        ]
        for site in sites:
            undo.callback(site.child.wait)
            undo.callback(site.child.terminate)
        clients = undo.enter_context(ThreadPoolExecutor(options.clients))
        rounds = {site.name: [] for site in sites}
        for number in range(options.rounds + 1):
            for site in sites:
                if number == 0:
                    site.begin()
                rounds[site.name].append(measure(site, clients, options.notes))
            load = Path("/proc/loadavg").read_text().split()[0]
            print(f"round {number}{' (not counted)' if number == 0 else ''}, load {load}", flush=True)
        totals = {}
        print(f"\n{'milliseconds a note':<24} {'':>8} {'of gunicorn: CPU':>17}")
        for site in sites:
            counted = rounds[site.name][1:]
            for step in site.steps:
                row(f"{site.name}, {step}", counted, lambda found: found[step])
            totals[site.name] = row(
                f"{site.name}, all",
                counted,
                lambda found: [sum(column) for column in zip(*found.values())],
            )
        print(f"\nburn_note to SnapPass: {totals['burn_note'] / totals['SnapPass']:.2f}")


def row(name, rounds, choose):
    wall, cpu = (min(column) for column in zip(*map(choose, rounds)))
    print(f"{name:<24} {wall:8.2f} {cpu:17.2f}")
    return wall


if __name__ == "__main__":
    main()
