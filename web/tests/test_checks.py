"""checks.py: what `manage.py check` tells of a project's settings."""

import pytest
from django.core.checks import run_checks
from django.db import connection, connections

from burn_note import checks


def ids(messages):
    return [message.id for message in messages]


@pytest.fixture
def options(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"server_side_binding": True})
    return connection.settings_dict["OPTIONS"]


def test_this_project_has_nothing_to_be_told():
    assert [message for message in run_checks() if message.id.startswith("burn_note")] == []


@pytest.mark.parametrize("value", [False, None, "yes", 1])
def test_server_side_binding_that_is_off_is_told(options, value):
    assert checks.database() == []
    options["server_side_binding"] = value
    (message,) = checks.database()
    assert message.id == "burn_note.W001"
    assert '"OPTIONS": {"server_side_binding": True}' in message.hint
    del options["server_side_binding"]
    assert ids(checks.database()) == ["burn_note.W001"]


def test_a_database_that_is_not_there_or_no_postgresql_is_told(settings, monkeypatch):
    settings.BURN_NOTE_DATABASE = "nowhere"
    assert ids(checks.database()) == ["burn_note.E001"]
    settings.BURN_NOTE_DATABASE = "default"
    monkeypatch.setattr(type(connections["default"]), "vendor", "sqlite")
    (message,) = checks.database()
    assert (message.id, "'default'" in message.msg) == ("burn_note.E001", True)


@pytest.mark.parametrize("proxies", [[], ["unix"], ["10.0.0.1", "2001:db8::/32", "unix"]])
def test_proxies_that_are_addresses_are_right(settings, proxies):
    settings.BURN_NOTE_TRUSTED_PROXIES = proxies
    assert checks.trusted_proxies() == []


@pytest.mark.parametrize(
    "proxies", [["localhost"], ["10.0.0.1/8"], ["10.0.0.1:80"], "10.0.0.1", ["unix:/run/x"]]
)
def test_a_proxy_that_is_no_address_is_told(settings, proxies):
    settings.BURN_NOTE_TRUSTED_PROXIES = proxies
    assert set(ids(checks.trusted_proxies())) == {"burn_note.E002"}


@pytest.mark.parametrize("proxy", ["0.0.0.0/0", "::/0"])
def test_a_proxy_that_is_everybody_is_told(settings, proxy):
    settings.BURN_NOTE_TRUSTED_PROXIES = ["unix", proxy]
    assert ids(checks.trusted_proxies()) == ["burn_note.W002"]
