from collections.abc import Callable
from datetime import timedelta
from functools import cache

from django import forms
from django.contrib.humanize.templatetags.humanize import intcomma
from django.template.defaultfilters import filesizeformat
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from . import conf, tokens
from .files import File

# What a browser must not do with a secret: remember it, or send it to a spelling service
_SECRET = {
    "class": "form-control verbatim",
    "autocomplete": "off",
    "autocapitalize": "none",
    "spellcheck": "false",
}

_PASSPHRASE_CHARACTERS = 1000

DAMAGED = _("This link is damaged or cut short. Copy all of it and paste it again.")

_UNITS = {"minutes": _("minutes"), "hours": _("hours"), "days": _("days")}
_EXPIRIES = {
    "hour": (_("1 hour"), timedelta(hours=1)),
    "day": (_("1 day"), timedelta(days=1)),
    "week": (_("1 week"), timedelta(days=7)),
}


def _in_words(span: timedelta) -> str:
    if span >= timedelta(days=1):
        return ngettext("%d day", "%d days", span.days) % span.days
    minutes = span // timedelta(minutes=1)
    return ngettext("%d minute", "%d minutes", minutes) % minutes


@cache
def _limits(language: str | None, text: int, file: int, expiry: timedelta) -> tuple[str, str, str]:
    """In words, which are the same for every form in that language."""
    return (
        ngettext("Up to %(limit)s character.", "Up to %(limit)s characters.", text)
        % {"limit": intcomma(text)},
        gettext("Up to %(limit)s. Its name is encrypted too.") % {"limit": filesizeformat(file)},
        gettext("%(limit)s at most.") % {"limit": _in_words(expiry)},
    )


class _Shown:
    """A text that is made where it is shown, in the language and with the settings of that
    moment. To make it for a form that is only checked takes longer than to check a field."""

    def __init__(self, text: Callable[[], object]):
        self.text = text

    def __str__(self) -> str:
        return str(self.text())


def _limit(position: int) -> _Shown:
    names = ("BURN_NOTE_MAX_TEXT", "BURN_NOTE_MAX_FILE", "BURN_NOTE_MAX_EXPIRY")
    return _Shown(lambda: _limits(get_language(), *map(conf.get, names))[position])


def _expiries() -> list[tuple[str, str]]:
    longest = conf.get("BURN_NOTE_MAX_EXPIRY")
    offered = [(key, label) for key, (label, span) in _EXPIRIES.items() if span <= longest]
    return [*offered, ("custom", _("Custom"))]


class _BoundField(forms.BoundField):
    def build_widget_attrs(self, attrs, widget=None) -> dict:
        attrs = super().build_widget_attrs(attrs, widget)
        return {"autofocus": self.name == self.form.focus, **attrs}


class _Fields(dict):
    """All forms of a class share its fields, and none changes them: to copy them, as Django
    does for each form, takes longer than to check what was sent."""

    def __deepcopy__(self, memo):
        return self


class _FormType(type(forms.Form)):
    def __new__(cls, *arguments):
        form = super().__new__(cls, *arguments)
        form.base_fields = _Fields(form.base_fields)
        return form


class _Form(forms.Form, metaclass=_FormType):
    bound_field_class = _BoundField
    # the field that has the cursor
    focus: str | None = None

    def focus_first_error(self, or_nothing=False):
        """Puts the cursor into the first field that was refused, which a screen reader then
        reads with its error. With `or_nothing` the page says something more important."""
        if or_nothing:
            self.focus = None
        else:
            self.focus = next((name for name in self.fields if name in self.errors), self.focus)


class CreateForm(_Form):
    """A text or a file, never both; `expires_in` of the cleaned data is a timedelta."""

    focus = "text"
    text = forms.CharField(
        label=_("Your note"),
        help_text=_limit(0),
        required=False,
        strip=False,
        # for the script; not maxlength, with which browsers cut what is pasted
        widget=forms.Textarea(
            attrs={
                **_SECRET,
                "rows": 6,
                "data-limit": _Shown(lambda: conf.get("BURN_NOTE_MAX_TEXT")),
            }
        ),
    )
    file = forms.FileField(
        label=_("Or a file"),
        help_text=_limit(1),
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput(
            attrs={
                "class": "form-control",
                "data-limit": _Shown(lambda: conf.get("BURN_NOTE_MAX_FILE")),
            }
        ),
    )
    expires = forms.ChoiceField(
        label=_("Destroy it unread after"),
        choices=_expiries,
        initial=lambda: "day" if "day" in dict(_expiries()) else "custom",
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )
    custom_number = forms.IntegerField(
        label=_("Number"),
        help_text=_limit(2),
        required=False,
        min_value=1,
        initial=3,
        widget=forms.NumberInput(attrs={"class": "form-control"}),
    )
    custom_unit = forms.ChoiceField(
        label=_("Unit"),
        required=False,
        choices=list(_UNITS.items()),
        initial="days",
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    passphrase = forms.CharField(
        label=_("Passphrase"),
        help_text=_Shown(
            lambda: gettext(
                "Send it another way than the link: tell it on the phone, say. A few wrong ones"
                " destroy the note."
            )
        ),
        required=False,
        strip=False,
        max_length=_PASSPHRASE_CHARACTERS,
        widget=forms.TextInput(attrs=_SECRET),
    )

    @sensitive_variables()
    def clean_text(self) -> str:
        # browsers send line ends as CRLF, whatever was typed
        text = self.cleaned_data["text"].replace("\r\n", "\n")
        limit = conf.get("BURN_NOTE_MAX_TEXT")
        if len(text) > limit:
            raise forms.ValidationError(
                ngettext(
                    "The note may have %(limit)s character; this one has %(length)s.",
                    "The note may have %(limit)s characters; this one has %(length)s.",
                    limit,
                ),
                params={"limit": intcomma(limit), "length": intcomma(len(text))},
            )
        return text

    def clean_file(self):
        upload = self.cleaned_data["file"]
        limit = conf.get("BURN_NOTE_MAX_FILE")
        if upload and upload.size > limit:
            raise forms.ValidationError(
                _("The file may have %(limit)s; this one has %(size)s."),
                params={"limit": filesizeformat(limit), "size": filesizeformat(upload.size)},
            )
        return upload

    @sensitive_variables()
    def clean(self) -> dict:
        cleaned = super().clean()
        if "text" in cleaned and "file" in cleaned:
            has_file = cleaned["file"] is not None
            if cleaned["text"] and has_file:
                self.add_error("file", _("Send a text or a file, not both."))
            elif not cleaned["text"] and not has_file:
                self.add_error("text", _("Write a note, or choose a file."))
        if "expires" in cleaned:
            self._clean_expiry(cleaned)
        return cleaned

    def _clean_expiry(self, cleaned: dict) -> None:
        if cleaned["expires"] != "custom":
            cleaned["expires_in"] = _EXPIRIES[cleaned["expires"]][1]
            return
        if "custom_number" not in cleaned or "custom_unit" not in cleaned:
            return
        number, unit = cleaned["custom_number"], cleaned["custom_unit"]
        if number is None or not unit:
            self.add_error("custom_number", _("Say after how long."))
            return
        limit = conf.get("BURN_NOTE_MAX_EXPIRY")
        # compared as a number: any integer may have been sent, not any fits a timedelta
        if number > limit / timedelta(**{unit: 1}):
            self.add_error(
                "custom_number",
                forms.ValidationError(
                    _("A note can wait for %(limit)s at most."),
                    params={"limit": _in_words(limit)},
                ),
            )
            return
        cleaned["expires_in"] = timedelta(**{unit: number})

    @sensitive_variables()
    def to_file(self) -> File | None:
        upload = self.cleaned_data["file"]
        return upload and File(upload.name, upload.read())


class TokenForm(_Form):
    """A link, or the token alone, of one of `kinds`."""

    link = forms.CharField(
        label=_("Link"),
        max_length=2000,
        widget=forms.TextInput(attrs=_SECRET),
    )

    def __init__(self, *kinds: str, data=None):
        super().__init__(data)
        self.kinds = kinds

    @sensitive_variables()
    def clean_link(self) -> str:
        try:
            return tokens.find(self.cleaned_data["link"], *self.kinds)
        except tokens.InvalidToken:
            raise forms.ValidationError(self._complaint(), code="invalid") from None

    @sensitive_variables()
    def _complaint(self) -> str:
        try:
            tokens.find(self.cleaned_data["link"], tokens.RECEIPT)
        except tokens.InvalidToken:
            return DAMAGED
        return _("This is a status link, which the sender keeps. It cannot open the note.")


class PassphraseForm(_Form):
    """What a reader types. Visible, since a mistyped one costs an attempt."""

    passphrase = forms.CharField(
        label=_("Passphrase"),
        required=False,
        strip=False,
        max_length=_PASSPHRASE_CHARACTERS,
        widget=forms.TextInput(attrs=_SECRET),
    )
