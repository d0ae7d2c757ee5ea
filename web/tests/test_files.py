"""files.py: a file and its name, there and back."""

import pytest

from burn_note.files import File


@pytest.mark.parametrize(
    "contents", [b"", b"\n", b"a\nb", bytes(range(256)), b"burn_note file\nx\n"]
)
@pytest.mark.parametrize(
    "name", ["a.txt", "", "ü €.pdf", 'a "b"\\c', "../../etc/passwd", "a\rb", "\0"]
)
def test_a_file_comes_back_as_it_was(name, contents):
    assert File.from_note(File(name, contents).to_note()) == File(name, contents)


def test_a_line_feed_in_a_name_does_not_move_into_the_contents():
    assert File.from_note(File("a\nb", b"c").to_note()) == File("a b", b"c")


def test_a_name_that_is_no_utf8_does_not_stop_it():
    assert File.from_note(File("a\udc80", b"c").to_note()) == File("a?", b"c")
    assert File.from_note(b"burn_note file\na\xff\nc") == File("a\N{REPLACEMENT CHARACTER}", b"c")


@pytest.mark.parametrize(
    "note", [b"", b"\xff\0", b"burn_note file", b"burn_note file\nno end of the name"]
)
def test_bytes_that_another_program_sealed_are_all_contents(note):
    assert File.from_note(note) == File("note.bin", note)


def test_its_repr_has_neither_name_nor_contents():
    assert "secret" not in repr(File("secret.txt", b"secret"))
