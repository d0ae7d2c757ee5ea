"""What `pip install ./web` brings along."""

import ast
import shutil
import subprocess
import sys
import zipfile

from stack import WEB


def test_the_package_has_all_that_the_app_needs_and_nothing_else(tmp_path):
    shutil.copytree(WEB, tmp_path / "web")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index"]
        + ["--no-build-isolation", "-w", tmp_path, tmp_path / "web"],
        check=True,
    )
    (wheel,) = tmp_path.glob("django_burn_note-*.whl")
    packed = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    sources = {
        str(p.relative_to(WEB))
        for p in (WEB / "burn_note").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert packed == sources


def test_no_check_vanishes_under_O():
    found = [
        f"{path.name}:{node.lineno}"
        for path in (WEB / "burn_note").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert found == []
