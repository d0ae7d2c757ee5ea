"""The states that burn_status tells, each with the pages' words for it."""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from .notes import Status


@dataclass(frozen=True)
class State:
    letter: str | None  # burn_receipt.outcome, if a note ends so
    heading: str  # of the status page
    ending: str  # for who follows the link of a note that is gone


STATES = {
    "sealed": State(None, _("Sealed: nobody has read it"), ""),
    "read": State("r", _("It was read"), _("It was opened on <strong>%(when)s</strong>.")),
    "expired": State(
        "e",
        _("It expired unread"),
        _("Nobody opened it in time. It expired on <strong>%(when)s</strong>."),
    ),
    "revoked": State(
        "v",
        _("It was burned unread"),
        _("Its sender destroyed it unread on <strong>%(when)s</strong>."),
    ),
    "locked": State(
        "l",
        _("Destroyed by wrong passphrases"),
        _("Too many wrong passphrases destroyed it on <strong>%(when)s</strong>."),
    ),
    "withheld": State(
        "w",
        _("Destroyed, and shown to nobody"),
        _(
            "It was destroyed without being shown to anybody, because a second server did not"
            " confirm. Ask the sender for a new one."
        ),
    ),
    "unknown": State(
        None,
        _("No note, and no record of one"),
        _(
            "There is no note behind this link, and no record of one any more. It may have been"
            " opened, or have expired, long ago."
        ),
    ),
}


def of(status: Status) -> State:
    return STATES.get(status.state, STATES["unknown"])
