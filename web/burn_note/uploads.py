"""A file that is to become a note must not become a file on this machine's disk."""

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler

from . import conf

# what a form adds to the file: its other fields, and multipart's own lines
_FORM_BYTES = 1024 * 1024


class Upload(InMemoryUploadedFile):
    """Its name is a secret too: error reports show the repr of each upload."""

    def __repr__(self) -> str:
        return "<Upload>"


class InMemoryUploadHandler(MemoryFileUploadHandler):
    """Keeps uploads in memory whatever their size; refuses requests that are larger than
    a form with the largest file (RequestDataTooBig, which is a 400)."""

    def handle_raw_input(self, input_data, META, content_length, boundary, encoding=None):
        if content_length > conf.get("BURN_NOTE_MAX_FILE") + _FORM_BYTES:
            raise RequestDataTooBig("the file is larger than BURN_NOTE_MAX_FILE")
        self.activated = True

    def file_complete(self, file_size):
        upload = super().file_complete(file_size)
        upload.__class__ = Upload
        return upload
