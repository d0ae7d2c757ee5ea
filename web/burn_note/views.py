"""The pages. A token comes in a POST's body, never in a path or a query: a link carries
it in its fragment, which browsers do not send, and a script or the reader's own paste
POSTs it from there. No GET changes anything.
"""

import functools
import secrets
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import segno
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from . import conf, hashing, notes, senders, tokens
from .addresses import client_ip
from .files import File
from .forms import DAMAGED, CreateForm, PassphraseForm, TokenForm
from .reports import ExceptionReporterFilter
from .uploads import InMemoryUploadHandler

View = Callable[..., HttpResponse]

HEADERS = {
    # "private" for Django's own site cache, which in 5.2.0 stores what says only "no-store"
    "Cache-Control": "no-store, private",
    # data: for Bootstrap's arrows and ticks
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Nothing is sent to other sites. Under "no-referrer" a browser would send its forms
    # with "Origin: null", which Django's CSRF check refuses.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}

# the cookie that carries a new token over the redirect, for that one address
COOKIE = "burn_note_token"

_TOO_LARGE = 413, _("That is more than a note may hold. Nothing was stored.")

# What the server may refuse without any fault of the page: HTTP status and text
_TROUBLE = {
    notes.LOCK_NOT_AVAILABLE: (
        503,
        _("The note is in use just now. Nothing was destroyed. Try again in a moment."),
    ),
    notes.TOO_MANY_PENDING: (
        503,
        _("Too many notes are waiting to be read. Nothing was stored. Try again later."),
    ),
    notes.TOO_LARGE: _TOO_LARGE,
    notes.OUT_OF_BOUNDS: (
        400,
        _("The server does not keep a note for that long. Nothing was stored."),
    ),
    notes.INVALID_TOKEN: (400, DAMAGED),
    notes.STANDBYS_MISSING: (
        503,
        _(
            "A second server, which has to confirm that the note was destroyed, is away."
            " Nothing was destroyed. Try again in a moment."
        ),
    ),
    notes.WITHHELD: (
        500,
        _(
            "The note was destroyed, but a second server did not confirm that, so nobody"
            " may see it. Ask the sender for a new one."
        ),
    ),
}

NOT_UNDERSTOOD = _("The server does not understand what your browser sent.")
NO_PAGE = _("There is no page here.")

# What is said of a page that fails: why, and what it has changed by then
_AWAY = _("The database cannot be used just now.")
_BROKEN = _("Something went wrong on the server.")
NOTHING = _("Nothing was stored or destroyed.")
_STORED = _("Your note is stored, and this page still has its link. Reload it in a moment.")
_PERHAPS_STORED = _(
    "It is not sure whether your note was stored. If it was, nobody has its link, and it is"
    " destroyed unread when its time is up."
)
_PERHAPS_DESTROYED = _(
    "It is not sure whether the note was destroyed. Open its link again: the page says what"
    " has become of it."
)
_LOST = _(
    "The note was destroyed, and this page failed to show it. Ask the sender for a new one."
)
_PERHAPS = _("It is not sure whether anything was stored or destroyed.")

RELOAD = _(
    "To try again, reload this page: your browser then sends the same once more. If you go"
    " back instead, the form is empty."
)
NOT_ARRIVED = _("It did not arrive, so it cannot be shown here again.")
LINK_IS_CHANGED = _(
    "If you followed a link to a note, it was changed on its way. Copy all of it and paste it"
    " under “Open a link”."
)
_RETRY_AFTER_SECONDS = 30

# while all threads that may wait for a passphrase's hash do
_BUSY_STORING = _(
    "Too many passphrases are being checked just now. Nothing was stored. Try again in a moment."
)
_BUSY_READING = _(
    "Too many passphrases are being checked just now. This one was not, and costs no attempt."
    " Try again in a moment."
)
_BUSY_SECONDS = 5
_TOO_MANY = _(
    "Too many notes from your network are waiting to be read. Nothing was stored. Try again when"
    " some of them were read."
)
_TOO_MANY_SECONDS = 600


def page(*methods: str) -> Callable[[View], View]:
    """What each page promises, whatever the project around it does: its headers, no
    transaction around it, CSRF checked, uploads kept off the disk, and no secret in an
    error report, with DEBUG on or off."""

    def decorate(view: View) -> View:
        checked = require_http_methods([*methods, "HEAD"])(csrf_protect(view))

        @functools.wraps(view)
        def wrapped(request: HttpRequest, *args, **kwargs) -> HttpResponse:
            request.exception_reporter_filter = ExceptionReporterFilter()
            # before csrf_protect, which reads the body: by another encoding, which the sender
            # may name, it could have characters that are none
            request.encoding = "utf-8"
            request.upload_handlers = [InMemoryUploadHandler(request)]
            request.burn_note_outcome = NOTHING
            try:
                response = checked(request, *args, **kwargs)
            except RequestDataTooBig:
                # as Django does; what was sent cannot be looked at again
                request._mark_post_parse_error()
                response = _trouble(request, *_TOO_LARGE, NOT_ARRIVED)
            except DatabaseError as error:
                if notes.sqlstate(error) not in _TROUBLE:
                    raise
                response = _trouble(request, *_TROUBLE[notes.sqlstate(error)])
            if isinstance(response, HttpResponseNotAllowed):
                response.content = _trouble(request, 405, NOT_UNDERSTOOD, NOTHING).content
            return _with_headers(response)

        # around all of it: the body is read before the view is called
        hushed = sensitive_post_parameters()(sensitive_variables()(wrapped))
        database = conf.get("BURN_NOTE_DATABASE")
        return csrf_exempt(transaction.non_atomic_requests(using=database)(hushed))

    return decorate


@page("GET", "POST")
def create(request: HttpRequest) -> HttpResponse:
    form = CreateForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return _create_page(request, form)
    expires_in = form.cleaned_data["expires_in"]
    passphrase = form.cleaned_data["passphrase"] or None
    file = form.to_file()
    note = file.to_note() if file else form.cleaned_data["text"]
    try:
        with hashing.place(passphrase), _changing(request, _PERHAPS_STORED):
            token = senders.create(note, expires_in, passphrase, client_ip(request))
    except senders.TooMany:
        return _again_after(_create_page(request, form, 429, _TOO_MANY), _TOO_MANY_SECONDS)
    except hashing.Busy:
        form.add_error("passphrase", _BUSY_STORING)
        return _again_after(_create_page(request, form, 503), _BUSY_SECONDS)
    location = reverse("burn_note:share", kwargs={"once": secrets.token_urlsafe(6)})
    if "scripted" in request.POST:
        # a script that follows a redirect would use the page up without showing it
        response = HttpResponse(status=201, headers={"Location": location})
    else:
        response = HttpResponseRedirect(location)
    response.set_cookie(
        COOKIE,
        token,
        path=location,
        secure=request.is_secure(),
        httponly=True,
        samesite="Strict",
    )
    return response


@page("GET")
def share(request: HttpRequest, once: str) -> HttpResponse:
    """Shows the link that `create` made, once: the cookie goes with the answer."""
    try:
        token = tokens.find(request.COOKIES.get(COOKIE, ""), tokens.NOTE)
    except tokens.InvalidToken:
        return render(request, "burn_note/shared.html", status=410)
    request.burn_note_outcome = _STORED
    receipt_token, status = notes.receipt_token_and_status(token)
    link = _link(request, "burn_note:open", token)
    context = {
        "link": link,
        "qr": mark_safe(_qr(link)),
        "expires_at": tokens.expires_at(token),
        "has_passphrase": status.has_passphrase,
        "receipt_token": receipt_token,
        "status_link": _link(request, "burn_note:status", receipt_token),
    }
    response = render(request, "burn_note/share.html", context)
    if request.method == "GET":
        response.delete_cookie(COOKIE, path=request.path, samesite="Strict")
    return response


@page("GET", "POST")
def open(request: HttpRequest) -> HttpResponse:
    """Says, to who POSTs a token, whether a note waits. Only `reveal` opens it."""
    form = TokenForm(tokens.NOTE, data=request.POST or None)
    if request.method != "POST" or not form.is_valid():
        form.focus_first_error()
        return render(request, "burn_note/open.html", {"form": form})
    return _waiting_or_gone(request, form.cleaned_data["link"], PassphraseForm())


@page("GET", "POST")
def reveal(request: HttpRequest) -> HttpResponse:
    """The one page that burns a note to show it."""
    form = TokenForm(tokens.NOTE, data=request.POST)
    if not form.is_valid():
        return redirect("burn_note:open")
    token = form.cleaned_data["link"]
    given = PassphraseForm(request.POST)
    if not given.is_valid():
        return _waiting_or_gone(request, token, given)
    passphrase = given.cleaned_data["passphrase"] or None
    try:
        with hashing.place(passphrase), _changing(request, _PERHAPS_DESTROYED):
            note = _read(token, client_ip(request), passphrase)
    except hashing.Busy:
        given.add_error("passphrase", _BUSY_READING)
        page = _waiting_or_gone(request, token, given, status=503)
        return _again_after(page, _BUSY_SECONDS)
    if note is None:
        given.add_error(
            "passphrase",
            _("That is not the passphrase.")
            if passphrase
            else _("This note needs its passphrase."),
        )
        return _waiting_or_gone(request, token, given)
    request.burn_note_outcome = _LOST
    if isinstance(note, File) and "scripted" not in request.POST:
        return FileResponse(
            BytesIO(note.contents),
            as_attachment=True,
            filename=note.name,
            content_type="application/octet-stream",
        )
    response = render(request, "burn_note/revealed.html", _shown(note))
    # no form here
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@page("GET", "POST")
def status(request: HttpRequest) -> HttpResponse:
    form = TokenForm(tokens.NOTE, tokens.RECEIPT, data=request.POST or None)
    if request.method != "POST" or not form.is_valid():
        form.focus_first_error()
        return render(request, "burn_note/status.html", {"form": form})
    return _status(request, form.cleaned_data["link"])


@page("GET", "POST")
def burn(request: HttpRequest) -> HttpResponse:
    """Destroys a note unread, if that was confirmed on the page that offers it."""
    form = TokenForm(tokens.NOTE, tokens.RECEIPT, data=request.POST)
    if not form.is_valid():
        return redirect("burn_note:status")
    token = form.cleaned_data["link"]
    if "confirmed" not in request.POST:
        return _status(request, token)
    with _changing(request, _PERHAPS_DESTROYED):
        notes.revoke(token, client_ip(request))
    return _status(request, token)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For the setting CSRF_FAILURE_VIEW."""
    text = _(
        "This page was open for too long, or your browser refuses its cookie. Nothing was"
        " stored or destroyed."
    )
    # what another site sent does not get into the form
    ours = request.headers.get("Origin") == f"{request.scheme}://{request.get_host()}"
    return _trouble(
        request, 403, text, _("Go back, reload the page and try again."), refill=ours
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """For handler400: what Django refuses before a page is called."""
    return _trouble(request, 400, NOT_UNDERSTOOD, NOTHING)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """For handler404."""
    return _trouble(request, 404, NO_PAGE, LINK_IS_CHANGED)


def server_error(request: HttpRequest) -> HttpResponse:
    """For handler500, which Django calls while the exception is at hand."""
    away = isinstance(sys.exc_info()[1], (OperationalError, InterfaceError))
    status, reason = (503, _AWAY) if away else (500, _BROKEN)
    text = f"{reason} {getattr(request, 'burn_note_outcome', _PERHAPS)}"
    try:
        return _trouble(request, status, text)
    except Exception:
        # What broke the page may break this one, static files that are missing for instance
        plain = HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
        return _with_headers(plain)


@contextmanager
def _changing(request: HttpRequest, perhaps) -> Iterator[None]:
    """From here on a page that fails says `perhaps`: its statement may have done its work
    before it failed, or did it and what came after failed. Not so if it was not sent."""
    nothing, request.burn_note_outcome = request.burn_note_outcome, perhaps
    try:
        yield
    except notes.Unreachable:
        request.burn_note_outcome = nothing
        raise


@sensitive_variables()
def _create_page(request: HttpRequest, form: CreateForm, status=200, text="") -> HttpResponse:
    form.focus_first_error(or_nothing=bool(text))
    context = {
        "form": form,
        "trouble": text,
        # no page can put a file back into a form; a script leaves it there
        "file_is_lost": bool(request.FILES) and "scripted" not in request.POST,
    }
    response = render(request, "burn_note/create.html", context, status=status)
    # the one page whose script sends its form
    policy = HEADERS["Content-Security-Policy"]
    response.headers["Content-Security-Policy"] = f"{policy}; connect-src 'self'"
    return response


@sensitive_variables()
def _trouble(
    request: HttpRequest, status: int, text: str, hint: str = "", refill: bool = True
) -> HttpResponse:
    """Says why not: on the create page beside all that was sent, elsewhere with a hint."""
    here = request.resolver_match
    if refill and here and (here.app_name, here.url_name) == ("burn_note", "create") and request.POST:
        form = CreateForm(request.POST, request.FILES)
        response = _create_page(request, form, status, text)
    else:
        if status == 503 and request.method == "POST":
            hint = RELOAD
        context = {"text": text, "hint": hint}
        response = render(request, "burn_note/trouble.html", context, status=status)
    if status == 503:
        response.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return _with_headers(response)


def _with_headers(response: HttpResponse) -> HttpResponse:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@sensitive_variables()
def _read(token: str, address, passphrase: str | None) -> str | File | None:
    try:
        return notes.read(token, address, passphrase)
    except DatabaseError as error:
        if notes.sqlstate(error) != notes.OTHER_KIND:
            raise
    note = notes.read_bytes(token, address, passphrase)
    return None if note is None else File.from_note(note)


@sensitive_variables()
def _shown(note: str | File) -> dict[str, object]:
    """All that the template asks for: Django logs the context where it misses something."""
    if isinstance(note, File):
        return {"file": note, "base64": b64encode(note.contents).decode()}
    return {"file": None, "text": note, "rows": min(max(note.count("\n") + 2, 4), 24)}


@sensitive_variables()
def _waiting_or_gone(
    request: HttpRequest, token: str, form: PassphraseForm, status: int = 200
) -> HttpResponse:
    found = notes.status(token)
    if found.state != "sealed":
        return render(request, "burn_note/gone.html", {"status": found}, status=410)
    form.focus_first_error()
    context = {"token": token, "status": found, "form": form}
    return render(request, "burn_note/waiting.html", context, status=status)


def _again_after(response: HttpResponse, seconds: int) -> HttpResponse:
    """If it refuses."""
    if response.status_code in (429, 503):
        response.headers["Retry-After"] = str(seconds)
    return response


@sensitive_variables()
def _status(request: HttpRequest, token: str) -> HttpResponse:
    receipt_token, status = notes.receipt_token_and_status(token)
    context = {
        "receipt_token": receipt_token,
        "status": status,
        "seal_is_right": notes.verify_receipt(receipt_token),
    }
    return render(request, "burn_note/status_of.html", context)


@sensitive_variables()
def _link(request: HttpRequest, view: str, token: str) -> str:
    return f"{request.build_absolute_uri(reverse(view))}#{token}"


@sensitive_variables()
def _qr(link: str) -> str:
    # any mask will do; to look for the best of the eight takes longer than all the rest
    code = segno.make(link, micro=False, mask=4)
    return code.svg_inline(scale=4, border=2, dark="#000", light="#fff", omitsize=True)
