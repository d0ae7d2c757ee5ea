"""A file as a note: its name is sealed with it.

The note's bytes are b"burn_note file\\n", the name in UTF-8 without line feeds, b"\\n" and
the contents.
"""

from dataclasses import dataclass

_MAGIC = b"burn_note file\n"


@dataclass(frozen=True, repr=False)
class File:
    name: str
    contents: bytes

    def to_note(self) -> bytes:
        name = self.name.replace("\n", " ").encode("utf-8", "replace")
        return _MAGIC + name + b"\n" + self.contents

    @classmethod
    def from_note(cls, note: bytes) -> "File":
        """Any bytes will do: those that were not sealed by this app are all contents."""
        if note.startswith(_MAGIC):
            name, newline, contents = note[len(_MAGIC) :].partition(b"\n")
            if newline:
                return cls(name.decode("utf-8", "replace"), contents)
        return cls("note.bin", note)
