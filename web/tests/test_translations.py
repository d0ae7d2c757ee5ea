"""Each word of the pages in each language that the project offers."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from django.conf import settings
from stack import WEB

LANGUAGES = [code for code, _name in settings.LANGUAGES if code != "en"]


@pytest.fixture(params=LANGUAGES)
def catalogue(request):
    return WEB / f"burn_note/locale/{request.param}/LC_MESSAGES/django.po"


def gettext(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True).stdout


def messages(file):
    """All entries but the head, sorted, without comments."""
    text = gettext("msgattrib", "--no-obsolete", "--no-location", "--sort-output", file).decode()
    entries = [re.sub("(?m)^#.*\n", "", entry) for entry in text.split("\n\n")]
    return [
        entry.strip()
        for entry in entries
        if not entry.lstrip().startswith('msgid ""\nmsgstr ""\n"Project')
    ]


def test_every_message_is_translated_and_none_is_a_guess(catalogue):
    assert len(messages(catalogue)) > 50
    for wrong in ("--untranslated", "--only-fuzzy", "--only-obsolete"):
        assert gettext("msgattrib", wrong, catalogue) == b""


def test_the_compiled_catalogue_is_the_written_one(catalogue):
    compiled = gettext("msgfmt", "--check", "--output-file=-", catalogue)
    assert catalogue.with_suffix(".mo").read_bytes() == compiled


def test_no_message_is_new_or_unused(catalogue, tmp_path):
    copy = tmp_path / "burn_note"
    shutil.copytree(WEB / "burn_note", copy)
    language = catalogue.parts[-3]
    made = copy / catalogue.relative_to(WEB / "burn_note")
    subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "-l", language, "--no-location"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(WEB)},
        check=True,
        capture_output=True,
    )
    assert messages(made) == messages(catalogue)
