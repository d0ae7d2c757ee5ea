"""uploads.py: a file on its way to a note is in no file on this machine."""

import tempfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import load_handler
from pages import CREATE, body, create, fields

from burn_note import notes, views
from burn_note.files import File
from burn_note.uploads import InMemoryUploadHandler

pytestmark = pytest.mark.django_db(transaction=True)

CONTENTS = bytes(range(256)) * 40 * 1024


@pytest.fixture
def temporary_files(monkeypatch):
    """The names of the temporary files that anybody makes."""
    made = []
    make = tempfile._mkstemp_inner

    def noting(*args):
        made.append(make(*args))
        return made[-1]

    monkeypatch.setattr(tempfile, "_mkstemp_inner", noting)
    return made


def test_a_file_of_10_mb_makes_no_temporary_file(client, temporary_files):
    token, _page = create(client, file=SimpleUploadedFile("a", CONTENTS))
    assert temporary_files == []
    assert File.from_note(notes.read_bytes(token)) == File("a", CONTENTS)


def test_with_djangos_own_handlers_it_does(client, temporary_files, monkeypatch, settings):
    """The control of the test above."""

    class Default:
        def __new__(cls, request):
            return load_handler(settings.FILE_UPLOAD_HANDLERS[1], request)

    monkeypatch.setattr(views, "InMemoryUploadHandler", Default)
    create(client, file=SimpleUploadedFile("a", CONTENTS))
    assert len(temporary_files) == 1


@pytest.mark.parametrize("extra", [1, 1024, 1024 * 1024])
def test_a_file_that_is_too_large_is_refused_in_words(client, superuser, settings, extra):
    settings.BURN_NOTE_MAX_FILE = 4096
    before = superuser.execute("SELECT count(*) FROM burn_note").fetchone()
    file = SimpleUploadedFile("a", bytes(4096 + extra))
    response = client.post(CREATE, fields(text="", file=file))
    if extra < 1024 * 1024:
        assert response.status_code == 200
        assert "The file may have 4.0\xa0KB; this one has" in body(response)
    else:
        assert response.status_code == 413
        assert "That is more than a note may hold. Nothing was stored." in body(response)
    assert superuser.execute("SELECT count(*) FROM burn_note").fetchone() == before


def test_a_body_that_is_too_large_is_refused_before_it_is_read(rf, settings):
    settings.BURN_NOTE_MAX_FILE = 0
    read = []

    class Body:
        def read(self, *_):
            read.append(1)
            return b""

    request = rf.post(CREATE, fields())
    request._dont_enforce_csrf_checks = True
    request.META["CONTENT_LENGTH"] = str(2 * 1024 * 1024)
    request._stream = Body()
    assert views.create(request).status_code == 413
    assert read == []


def test_the_name_of_an_upload_is_in_no_repr(rf):
    request = rf.post(CREATE, {"file": SimpleUploadedFile("secret.txt", b"x")})
    request.upload_handlers = [InMemoryUploadHandler(request)]
    upload = request.FILES["file"]
    assert (upload.name, upload.read()) == ("secret.txt", b"x")
    assert "secret" not in repr(upload) + repr(request.FILES)
