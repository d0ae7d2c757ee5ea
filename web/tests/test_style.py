"""The style sheet in the repository is the one of its sources."""

import re
from hashlib import sha256

from stack import WEB


def test_the_style_sheet_was_made_from_these_sources():
    source = sha256()
    for name in ("burn_note.scss", "package-lock.json"):
        source.update((WEB / "style" / name).read_bytes())
    sheet = WEB / "burn_note/static/burn_note/burn_note.css"
    with sheet.open() as lines:
        (made_from,) = re.findall("sha256 ([0-9a-f]{64})", lines.readline())
    assert made_from == source.hexdigest()


def test_it_loads_nothing_from_elsewhere():
    sheet = (WEB / "burn_note/static/burn_note/burn_note.css").read_text()
    assert not re.search(r"@import|url\((?![\"']?(?:data:|#))", sheet)
