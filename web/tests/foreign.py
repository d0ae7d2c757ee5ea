"""Somebody else's views, which call the module or the database by themselves."""

from django.db import connection
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from burn_note import notes


def is_atomic(request):
    return HttpResponse(connection.in_atomic_block)


def read_and_fail(request):
    notes.read(request.POST["link"])
    raise RuntimeError("after the read")


def plain(request):
    """Without burn_note.notes, as one might write it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT burn_read(%s, NULL, %s)", [request.POST["link"], request.POST["passphrase"]]
        )
        (note,) = cursor.fetchone()
    raise RuntimeError(f"nobody shows {len(note)} characters")


@sensitive_post_parameters()
@sensitive_variables()
def careful(request):
    """As the README advises."""
    note = notes.read(request.POST["link"], None, request.POST["passphrase"])
    raise RuntimeError(f"nobody shows {len(note)} characters")


urlpatterns = [
    path("is-atomic/", is_atomic),
    path("read-and-fail/", read_and_fail),
    path("plain/", plain),
    path("careful/", careful),
]
