"""README.md's steps to the internet, and an update while the site is used: with systemd,
PostgreSQL and nginx as a machine has them. It needs root: see box.py."""

import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from box import CERTIFICATE, NAME, SYSTEMD, Box
from stack import WEB

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not Path(SYSTEMD).exists(), reason="this needs root and systemd"
)

# Steps that only a real machine can take
ELSEWHERE = {
    r"sudo apt (update|install .*)": "tools/deps",
    r"sudo certbot .*": "box.py",
}
UPDATE = "sudo /opt/burn_note/web/deploy/update"
INSTALL = "/opt/burn_note/web/deploy/install"
MANAGE = "/opt/burn_note/web/deploy/manage"
CURL = f"curl -s --cacert /etc/letsencrypt/live/{NAME}/fullchain.pem --connect-to ::127.0.0.1:"


def steps():
    text = (WEB / "README.md").read_text()
    text = text[text.index("## Put it on the internet") : text.index("### What you should know")]
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]


def test_every_step_is_taken_somewhere():
    for elsewhere in ELSEWHERE:
        assert any(re.fullmatch(elsewhere, step) for step in steps()), elsewhere
    assert steps()[-1] == UPDATE
    assert steps()[-2] == f"sudo {INSTALL} {NAME}"


def git(directory, *arguments):
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=directory, check=True)


class Site:
    """`origin`: the repository that the machine in `box` was installed from."""

    def __init__(self, box, origin):
        self.box = box
        self.origin = origin
        self.run = box.run

    def release(self, **changes):
        """A newer one: each file has that appended."""
        for name, addition in changes.items():
            with (self.origin / FILES[name]).open("a") as file:
                file.write(addition)
        git(self.origin, "commit", "-qam", "A newer release")

    def fetch(self, path):
        return self.run(f"{CURL} -w '\n%{{http_code}}' https://{NAME}{path}").rsplit("\n", 1)

    def write(self):
        """Somebody creates a note that nobody reads."""
        self.run(f"""
            ask="{CURL} -f -o /root/page -b /root/jar -c /root/jar -e https://{NAME}/"
            $ask https://{NAME}/
            form=$(sed -n 's/.*name="csrfmiddlewaretoken" value="\\([^"]*\\)".*/\\1/p' /root/page | head -n 1)
            $ask -d csrfmiddlewaretoken=$form -d text=x -d expires=hour https://{NAME}/
        """)

    def style(self):
        page, status = self.fetch("/")
        assert status == "200", page
        return re.search(r'href="(/static/[^"]+\.css)"', page)[1]

    def postgresql_started(self):
        return self.run("sudo -u postgres psql -XAtc 'SELECT pg_postmaster_start_time()'")

    def may_read_receipts(self):
        query = "SELECT has_table_privilege('burn_note_web', 'burn_receipt', 'SELECT')"
        return self.run(f'sudo -u postgres psql -XAtd burn_note -c "{query}"').strip()

    @contextmanager
    def used(self, may_be_away=False):
        """People come and go all the while. None may see an error, but that the site is
        away for a moment (502 or 503, with Retry-After), where it `may_be_away`."""
        regulars = self.box.start("python3", "/srv/regulars.py")
        assert regulars.stdout.readline() == "ready\n"
        yield
        seen = json.loads(regulars.communicate()[0])
        print(seen)
        assert seen["failures"] == []
        assert may_be_away or seen["away"] == []
        assert min(seen["visits"]) > 5


FILES = {
    "style": "web/burn_note/static/burn_note/burn_note.css",
    "library": "burn_note.c",
    "unit": "web/deploy/systemd/burn_note-web.service",
    "socket": "web/deploy/systemd/burn_note-web.socket",
    "server": "web/deploy/nginx/burn_note_server.conf",
    "grants": "web/deploy/sql/grants.sql",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    srv = tmp_path_factory.mktemp("srv")
    shutil.copytree(
        WEB.parent, srv / "origin", ignore=shutil.ignore_patterns("__pycache__", ".git", "node_modules")
    )
    shutil.copy(WEB / "tests/regulars.py", srv)
    git(srv / "origin", "init", "-q")
    git(srv / "origin", "add", "-A")
    git(srv / "origin", "commit", "-qm", "The first release")
    with Box(srv) as box:
        box.run("""
            pg_createcluster --start $(ls /usr/lib/postgresql | tail -n 1) main
            systemctl start nginx
        """)
        said = box.run(f"/srv/origin/web/deploy/install {NAME} && exit 1 || true")
        assert f"{NAME} has no certificate yet: sudo certbot certonly" in said
        # that has written the settings; nobody is to be told to come more slowly
        box.run(CERTIFICATE + """
            echo BURN_NOTE_CREATES_PER_MINUTE=100000 >>/etc/burn_note/web.env
            echo BURN_NOTE_USES_PER_MINUTE=100000 >>/etc/burn_note/web.env
        """)
        for step in steps():
            if step != UPDATE and not any(re.fullmatch(e, step) for e in ELSEWHERE):
                box.run(step.replace("URL", "/srv/origin"))
        # nginx comes to a reload when it can, which on a busy machine is later
        box.run(f"{CURL} -f -o /dev/null --retry 300 --retry-delay 1 --retry-all-errors https://{NAME}/")
        yield Site(box, srv / "origin")


@as_root
def test_the_operator_ends_a_flood(site):
    for _ in range(3):
        site.write()
    flood = f"{MANAGE} burn_note_flood --since 2000-01-01T00:00"
    assert re.search(r"^127\.0\.0\.0/24 +3 ", site.run(flood), re.M)
    assert site.run(f"{flood} --network 127.0.0.0/24 --revoke").endswith("3 revoked, 0 left\n")


@as_root
def test_who_sent_a_note_is_removed_by_a_timer(site):
    assert site.run("systemctl is-active burn_note-purge.timer") == "active\n"
    site.run("systemctl start burn_note-purge.service")


@as_root
def test_nobody_notices_an_update_to_a_newer_tree(site):
    style, started = site.style(), site.postgresql_started()
    site.release(
        style="main{outline-offset:1px}\n",
        library="\nextern PGDLLEXPORT const int burn_newer;\nconst int burn_newer = 1;\n",
        unit="\n[Unit]\nDocumentation=https://example.org/newer\n",
        server="add_header X-Newer yes;\n",
        grants="GRANT SELECT ON burn_receipt TO burn_note_web;\n",
    )
    with site.used():
        said = site.run(UPDATE)
    assert "PostgreSQL restarts" in said
    assert site.postgresql_started() != started
    assert site.style() != style
    assert site.fetch(style)[1] == site.fetch(site.style())[1] == "200"
    assert "newer" in site.run("systemctl show -P Documentation burn_note-web")
    assert "X-Newer" in site.run("nginx -T 2>/dev/null")
    assert site.may_read_receipts() == "t"


@as_root
def test_what_is_right_already_stays(site):
    started, style = site.postgresql_started(), site.style()
    unneeded = "/var/lib/burn_note/static/burn_note/burn_note.0123456789ab.css"
    site.run(f"""
        touch -d '31 days ago' {unneeded}
        find /var/lib/burn_note/static -name '*.css' -exec touch -d '31 days ago' {{}} +
    """)
    with site.used():
        said = site.run(INSTALL)
    assert "PostgreSQL restarts" not in said
    assert (site.postgresql_started(), site.style()) == (started, style)
    assert site.fetch(style)[1] == "200"
    site.run(f"[ ! -e {unneeded} ]")
    # the code that runs, the one before it, and their packages
    assert len(site.run("ls /usr/local/lib/burn_note").split()) == 3


@as_root
def test_a_release_that_does_not_work_is_not_run(site):
    style = site.style()
    site.release(style="main{outline-offset:2px}\n")
    site.run("cp /etc/burn_note/web.env /root; echo BURN_NOTE_MAX_TEXT=much >>/etc/burn_note/web.env")
    with site.used():
        said = site.run(f"{UPDATE} && exit 1 || true")
    assert "journalctl -u burn_note-migrate" in said
    assert site.style() == style
    site.run("mv /root/web.env /etc/burn_note")
    with site.used():
        site.run(UPDATE)
    assert site.style() != style


@as_root
def test_while_the_socket_changes_pages_say_when_to_come_back(site):
    site.release(socket="# newer\n")
    with site.used(may_be_away=True):
        site.run(UPDATE)
    site.run("grep newer /etc/systemd/system/burn_note-web.socket")
