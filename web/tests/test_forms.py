"""forms.py: what is taken, what is refused, and in which words."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pages import fields
from test_tokens import forge

from burn_note import tokens
from burn_note.forms import CreateForm, PassphraseForm, TokenForm

NOTE, RECEIPT = forge(), forge(tokens.RECEIPT)


@pytest.fixture(autouse=True)
def longest_expiry(settings):
    """The app's own default, not this project's."""
    del settings.BURN_NOTE_MAX_EXPIRY


def create(file=None, **changed):
    form = CreateForm(fields(**changed), {"file": file} if file else None)
    form.is_valid()
    return form


def accepted(form):
    assert form.errors == {}
    return form.cleaned_data


@pytest.mark.parametrize(
    "text", ["x", " ", "\n\nx\n", "x" * 100_000, "\N{GRINNING FACE}" * 100_000]
)
def test_a_text_is_taken_as_it_is(text):
    assert accepted(create(text=text))["text"] == text


def test_a_browsers_line_ends_are_what_was_typed():
    assert accepted(create(text="\r\na\r\nb\rc\n"))["text"] == "\na\nb\rc\n"


def test_line_ends_are_counted_once():
    accepted(create(text="\r\n" * 100_000))


@pytest.mark.parametrize("file", [None, SimpleUploadedFile("a", b"")])
def test_a_text_or_a_file_and_not_both(file):
    form = create(file, text="x" if file else "")
    assert form.errors == (
        {"file": ["Send a text or a file, not both."]}
        if file
        else {"text": ["Write a note, or choose a file."]}
    )


def test_an_empty_file_is_a_file():
    file = create(SimpleUploadedFile("a.txt", b"")).to_file()
    assert (file.name, file.contents) == ("a.txt", b"")


def test_too_long_a_text_is_told_with_both_numbers_and_kept():
    form = create(text="x" * 100_001)
    assert form.errors == {"text": ["The note may have 100,000 characters; this one has 100,001."]}
    assert "x" * 100_001 in str(form["text"])


def test_too_large_a_file_is_told_with_both_sizes(settings):
    settings.BURN_NOTE_MAX_FILE = 1024
    accepted(create(SimpleUploadedFile("a", bytes(1024))))
    form = create(SimpleUploadedFile("a", bytes(2048)))
    assert form.errors == {"file": ["The file may have 1.0\xa0KB; this one has 2.0\xa0KB."]}


def test_the_limits_are_said_before_they_are_hit(settings):
    form = CreateForm()
    assert str(form["text"].help_text) == "Up to 100,000 characters."
    assert str(form["file"].help_text) == "Up to 10.0\xa0MB. Its name is encrypted too."
    assert str(form["custom_number"].help_text) == "90 days at most."
    settings.BURN_NOTE_MAX_TEXT = 1
    settings.BURN_NOTE_MAX_EXPIRY = timedelta(minutes=90)
    assert str(CreateForm()["text"].help_text) == "Up to 1 character."
    assert str(CreateForm()["custom_number"].help_text) == "90 minutes at most."


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"expires": "hour"}, timedelta(hours=1)),
        ({"expires": "day"}, timedelta(days=1)),
        ({"expires": "week"}, timedelta(days=7)),
        (
            {"expires": "custom", "custom_number": "5", "custom_unit": "minutes"},
            timedelta(minutes=5),
        ),
        (
            {"expires": "custom", "custom_number": "2160", "custom_unit": "hours"},
            timedelta(days=90),
        ),
        ({"expires": "custom", "custom_number": "90", "custom_unit": "days"}, timedelta(days=90)),
    ],
)
def test_an_expiry(changed, expected):
    assert accepted(create(text="x", **changed))["expires_in"] == expected


@pytest.mark.parametrize(
    "number, complaint",
    [
        ("", "Say after how long."),
        ("0", "Ensure this value is greater than or equal to 1."),
        ("-1", "Ensure this value is greater than or equal to 1."),
        ("1.5", "Enter a whole number."),
        ("x", "Enter a whole number."),
        ("91", "A note can wait for 90 days at most."),
        ("9" * 400, "A note can wait for 90 days at most."),
        ("9" * 9999, "Enter a whole number."),
    ],
)
def test_an_expiry_that_is_none(number, complaint):
    form = create(text="x", expires="custom", custom_number=number)
    assert form.errors == {"custom_number": [complaint]}


def test_an_expiry_that_the_page_does_not_offer():
    assert list(create(text="x", expires="never").errors) == ["expires"]
    assert list(create(text="x", expires="custom", custom_unit="weeks").errors) == ["custom_unit"]
    assert list(create(text="x", expires="custom", custom_unit="").errors) == ["custom_number"]


def test_a_number_that_is_not_asked_for_does_not_matter():
    accepted(create(text="x", expires="hour", custom_number=""))


def test_the_longest_expiry_bounds_each_choice(settings):
    settings.BURN_NOTE_MAX_EXPIRY = timedelta(days=1)
    assert list(dict(CreateForm().fields["expires"].choices)) == ["hour", "day", "custom"]
    assert list(create(text="x", expires="week").errors) == ["expires"]
    accepted(create(text="x", expires="day"))
    settings.BURN_NOTE_MAX_EXPIRY = timedelta(minutes=30)
    assert list(create(text="x", expires="hour").errors) == ["expires"]
    assert CreateForm()["expires"].value() == "custom"


def test_what_one_form_was_refused_is_not_in_the_next():
    refused = create(text="x", passphrase="p" * 1001)
    refused.focus_first_error()
    assert "autofocus" in str(refused["passphrase"])
    fresh = CreateForm()
    assert "autofocus" in str(fresh["text"])
    assert "autofocus" not in str(fresh["passphrase"])
    assert "p" * 1001 not in str(fresh["passphrase"])


def test_a_passphrase_is_taken_as_it_is():
    assert accepted(create(text="x", passphrase=" p "))["passphrase"] == " p "
    assert list(create(text="x", passphrase="p" * 1001).errors) == ["passphrase"]


@pytest.mark.parametrize("field", ["text", "passphrase"])
def test_nul_is_refused_in_words(field):
    form = create(**{"text": "x", field: "a\0b"})
    assert form.errors[field] == ["Null characters are not allowed."]


def test_no_field_is_remembered_by_the_browser():
    for form in (CreateForm(), PassphraseForm(), TokenForm(tokens.NOTE)):
        for name in {"text", "passphrase", "link"} & set(form.fields):
            assert 'autocomplete="off"' in str(form[name])
            assert 'spellcheck="false"' in str(form[name])


@pytest.mark.parametrize("link", [NOTE, f"https://testserver/open/#{NOTE}", f" see {NOTE}. "])
def test_a_link_or_its_token_alone(link):
    form = TokenForm(tokens.NOTE, data={"link": link})
    assert accepted(form)["link"] == NOTE


DAMAGED = "This link is damaged or cut short. Copy all of it and paste it again."
OF_SENDER = "This is a status link, which the sender keeps. It cannot open the note."


@pytest.mark.parametrize(
    "link, complaint",
    [
        (NOTE[:-1], DAMAGED),
        (NOTE[:-1] + "!", DAMAGED),
        ("hello", DAMAGED),
        (f"{NOTE} {forge(shard=9)}", DAMAGED),
        (RECEIPT[:-2], DAMAGED),
        (RECEIPT, OF_SENDER),
        ("", "This field is required."),
        ("x\0" + NOTE, "Null characters are not allowed."),
    ],
)
def test_a_link_that_cannot_open(link, complaint):
    form = TokenForm(tokens.NOTE, data={"link": link})
    assert form.errors == {"link": [complaint]}


def test_either_link_shows_the_status():
    for token in (NOTE, RECEIPT):
        assert (
            accepted(TokenForm(tokens.NOTE, tokens.RECEIPT, data={"link": token}))["link"] == token
        )
