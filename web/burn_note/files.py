"""A file as a note: its name is sealed with it.

The note's bytes are b"burn_note file\\n", the name in UTF-8 without line feeds, b"\\n" and
the contents. Anybody who calls burn_create_bytes can seal any name there, so what is read
is made fit for a header and for a screen: the note is burned by then, and must be shown.
"""

from dataclasses import dataclass

_MAGIC = b"burn_note file\n"
_NO_NAME = "note.bin"

# Enough for the 255 UTF-16 units that a file system may take. In a header each byte can
# become three, and nginx answers 502 to headers that are longer than 4096 altogether.
_NAME_BYTES = 765


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
                return cls(_fit(name), contents)
        return cls(_NO_NAME, note)


def _fit(sealed: bytes) -> str:
    """A name without directories and, as with Django's uploads, without what is not
    printable: control characters, and those that change the direction of writing."""
    name = sealed.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    short = name.encode()[:_NAME_BYTES].decode("utf-8", "ignore")
    printable = "".join(filter(str.isprintable, short))
    return _NO_NAME if printable in ("", ".", "..") else printable
