"""files.py: a file and its name, there and back."""

import pytest

from burn_note.files import File


@pytest.mark.parametrize(
    "contents", [b"", b"\n", b"a\nb", bytes(range(256)), b"burn_note file\nx\n"]
)
@pytest.mark.parametrize(
    "name", ["a.txt", "ü €.pdf", 'a "b".c', "; d='e'", "<b>&amp;%2f", ".f", "x" * 765]
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


@pytest.mark.parametrize("name", ["", "/", ".", "a/..", "a\\", "\0\r", "\u202e"])
def test_a_name_of_which_nothing_is_left_is_that_of_any_note(name):
    assert File.from_note(File(name, b"c").to_note()) == File("note.bin", b"c")


@pytest.mark.parametrize("character, bytes_each", [("x", 1), ("ü", 2), ("€", 3), ("😀", 4)])
@pytest.mark.parametrize("before", ["", "a", "aa", "aaa"])
def test_a_long_name_is_cut_between_two_characters(before, character, bytes_each):
    kept = before + character * ((765 - len(before)) // bytes_each)
    given = before + character * 1000
    assert File.from_note(File(given, b"c").to_note()) == File(kept, b"c")


def test_its_repr_has_neither_name_nor_contents():
    assert "secret" not in repr(File("secret.txt", b"secret"))
