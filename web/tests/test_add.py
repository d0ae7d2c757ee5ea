"""The README's "Add it to your Django project", step by step, from its own code blocks."""

import getpass
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from stack import WEB

from burn_note import conf, notes

README = (WEB / "README.md").read_text()
SECTION = re.search(r"(?ms)^## Add it to your Django project\n(.*?)(?=^## |\Z)", README)[1]
BLOCKS = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", SECTION)
DATABASE = "burn_note_added"

# what "your project" already has
DATABASES = f"""
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "{DATABASE}"}}}}
ALLOWED_HOSTS = ["testserver"]
"""
JOURNEY = """
import re
from django.test import Client
client = Client()
location = client.post("/notes/", {"text": "the wifi password", "expires": "day"})["Location"]
token = re.search("bn1_[\\\\w-]{56}", client.get(location).content.decode())[0]
assert b"the wifi password" in client.post("/notes/reveal/", {"link": token}).content
assert client.post("/notes/reveal/", {"link": token}).status_code == 410
assert b"It was read" in client.post("/notes/status/", {"link": token}).content
"""
VAULT = """
import re
from django.test import Client
client = Client()
given = client.post("/give/", {"password": "the wifi password"}).content.decode()
taken = [client.post("/take/", {"link": given}) for _ in range(2)]
assert [answer.status_code for answer in taken] == [200, 410]
assert taken[0].content == b"the wifi password"
assert client.post("/take/", {"link": given[:-1]}).status_code == 400
assert client.get("/take/", {"link": given}).status_code == 405
"""


@dataclass
class Project:
    """A checkout of the repository beside a fresh environment, in which what the app needs
    is at hand, so that nobody asks PyPI, and a fresh project."""

    directory: Path
    done: list = field(default_factory=list)

    def run(self, command, **options):
        """As typed into a shell in the project's directory, its environment active."""
        ran = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.directory,
            env={
                "PATH": f"{self.directory}/venv/bin:{os.environ['PATH']}",
                "HOME": str(self.directory),
                "PIP_NO_INDEX": "1",
                "PIP_NO_BUILD_ISOLATION": "0",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            }
            | {name: os.environ[name] for name in ("PGHOST", "PGUSER")},
            capture_output=True,
            text=True,
            **options,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def follow(self, language, text):
        """Does what a block of the README says; returns what it printed."""
        self.done.append(text)
        if language == "sh":
            return self.run(text)
        head, _newline, code = text.partition("\n")
        file = self.directory / head.removeprefix("# ")
        with file.open("a") as source:
            source.write(f"\n{code}")
        return ""


def blocks(*words):
    """The blocks with these words, in the README's order."""
    found = [block for block in BLOCKS if any(word in block[1] for word in words)]
    assert len(found) >= len(words)
    return found


STEPS = blocks("pip install", "INSTALLED_APPS", "include(", "migrate")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("added")
    shutil.copytree(WEB / "burn_note", directory / "web/burn_note")
    shutil.copy(WEB / "pyproject.toml", directory / "web")
    venv.create(directory / "venv")
    pip = directory / "venv/bin/pip"
    pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    pip.chmod(0o755)
    (site,) = directory.glob("venv/lib/python3*/site-packages")
    (site / "at_hand.pth").write_text(sysconfig.get_path("purelib"))
    made = Project(directory)
    made.run("python -m django startproject mysite .")
    with (directory / "mysite/settings.py").open("a") as settings:
        settings.write(DATABASES)
    options = {"dbname": "postgres", "user": getpass.getuser(), "autocommit": True}
    with psycopg.connect(**options) as server:
        server.execute(f"DROP DATABASE IF EXISTS {DATABASE} (FORCE)")
        server.execute(f"CREATE DATABASE {DATABASE} OWNER {os.environ['PGUSER']}")
        for block in STEPS:
            made.follow(*block)
        yield made
        server.execute(f"DROP DATABASE {DATABASE} (FORCE)")


def test_the_four_steps_are_all_it_takes(project):
    project.run("python manage.py shell", input=JOURNEY)
    assert "no issues" in project.run("python manage.py check --fail-level WARNING")
    where = project.run("python -c 'import burn_note; print(burn_note.__file__)'")
    assert where.startswith(f"{project.directory}/venv/lib/")


def test_everything_was_installed(project):
    (installed,) = project.directory.glob("venv/lib/python3*/site-packages/burn_note")
    sources = [p.relative_to(WEB / "burn_note") for p in (WEB / "burn_note").rglob("*")]
    missing = [s for s in sources if not (installed / s).exists() and "__pycache__" not in s.parts]
    assert missing == []
    project.run("python manage.py findstatic burn_note/burn_note.css")


def test_the_rest_of_the_section_works_too(project):
    said = "".join(project.follow(*block) for block in BLOCKS if block not in STEPS)
    project.run("python manage.py shell", input=VAULT)
    said += project.run("python manage.py burn_note_listen --once")
    assert re.search(r"[0-9a-f-]{36} read ", said)
    assert "rows removed" in said
    project.run("python manage.py check --fail-level WARNING")
    assert len(project.done) == len(BLOCKS)


def test_without_the_options_line_it_works_and_check_warns(project):
    settings = project.directory / "mysite/without.py"
    settings.write_text('from mysite.settings import *\nDATABASES["default"]["OPTIONS"] = {}\n')
    option = "--settings mysite.without"
    assert "burn_note.W001" in project.run(f"python manage.py check {option}")
    project.run(f"python manage.py shell {option}", input=JOURNEY)


def test_it_works_on_another_database_than_the_default(project):
    (project.directory / "mysite/other.py").write_text(
        "from mysite.settings import *\n"
        'DATABASES["notes"] = DATABASES["default"] | {"ATOMIC_REQUESTS": True}\n'
        'DATABASES["default"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": "other.sqlite3"}\n'
        'BURN_NOTE_DATABASE = "notes"\n'
    )
    for command in ("migrate", "migrate --database notes", "check --fail-level WARNING"):
        project.run(f"python manage.py {command} --settings mysite.other")
    project.run("python manage.py shell --settings mysite.other", input=JOURNEY)
    said = project.run("python manage.py burn_note_listen --once --settings mysite.other")
    assert re.search("[1-9] receipts announced", said)


def test_the_table_of_settings_is_conf_pys():
    rows = re.findall(r"(?m)^\| `(BURN_NOTE_\w+)` \| `(.+?)` \|", SECTION)
    told = {name: eval(default, {"timedelta": timedelta}) for name, default in rows}
    assert told == conf.DEFAULTS


def test_the_functions_named_are_those_there_are():
    (named,) = re.findall(r"typed: (.*?)\. `burn_note", SECTION, re.DOTALL)
    others = {"InvalidToken", "Status", "Unreachable", "sqlstate"}
    assert set(re.findall(r"`(\w+)`", named)) == set(notes.__all__) - others
