"""addresses.py: who is asking, and whom nobody can claim to be."""

from ipaddress import ip_address

import pytest
from django.test import RequestFactory

from burn_note import notes
from burn_note.addresses import client_ip

PROXY, OTHER_PROXY, PROXY6 = "10.0.0.1", "10.0.0.2", "2001:db8:1::1"
READER, READER6 = "203.0.113.7", "2001:db8::7"
FORGED = "198.51.100.66"


@pytest.fixture(autouse=True)
def proxies(settings):
    settings.BURN_NOTE_TRUSTED_PROXIES = ["10.0.0.0/24", "2001:db8:1::/48", "unix"]


def ask(peer, forwarded=None):
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    found = client_ip(RequestFactory().get("/", REMOTE_ADDR=peer, **headers))
    return None if found is None else str(found)


@pytest.mark.parametrize("reader", [READER, READER6])
def test_without_a_proxy_it_is_the_peer(reader):
    assert ask(reader) == reader


@pytest.mark.parametrize("reader", [READER, READER6])
@pytest.mark.parametrize("forwarded", [FORGED, f"{FORGED}, {PROXY}", "::1", "", ",", "junk"])
def test_a_header_from_somebody_else_changes_nothing(reader, forwarded):
    assert ask(reader, forwarded) == reader


@pytest.mark.parametrize("proxy", [PROXY, PROXY6, "::ffff:10.0.0.1", ""])
@pytest.mark.parametrize("reader", [READER, READER6])
def test_a_proxy_is_believed(proxy, reader):
    assert ask(proxy, reader) == reader


@pytest.mark.parametrize("proxy", [PROXY, PROXY6, ""])
@pytest.mark.parametrize("forged", [FORGED, PROXY, "::1", "junk", "", "127.0.0.1,," + OTHER_PROXY])
def test_what_the_reader_put_before_the_proxys_word_changes_nothing(proxy, forged):
    assert ask(proxy, f"{forged}, {READER}") == READER
    assert ask(proxy, f"{forged},{READER6}") == READER6


def test_a_chain_of_proxies_is_followed_to_the_first_that_is_none():
    assert ask(PROXY, f"{FORGED}, {READER}, {OTHER_PROXY}") == READER
    assert ask(PROXY, f"{READER}, {PROXY6} , {OTHER_PROXY}") == READER
    assert ask("", f"{FORGED}, {READER6}, {OTHER_PROXY}") == READER6


def test_a_proxy_that_says_nothing_is_the_client():
    for forwarded in (None, "", " "):
        assert ask(PROXY, forwarded) == PROXY
        assert ask("", forwarded) is None


@pytest.mark.parametrize(
    "junk", ["unknown", "203.0.113.7:1234", "[2001:db8::7]", "999.1.1.1", "0x7f.1", "a" * 9999]
)
def test_a_proxys_word_that_is_no_address_is_no_address(junk):
    assert ask(PROXY, junk) is None
    assert ask(PROXY, f"{READER}, {junk}") is None
    assert ask(junk, READER) is None


def test_a_unix_socket_is_believed_only_if_that_is_configured(settings):
    assert ask("", READER) == READER
    settings.BURN_NOTE_TRUSTED_PROXIES = []
    assert ask("", READER) is None


def test_an_ipv4_reader_is_one_also_where_the_socket_says_ipv6():
    assert ask("::ffff:203.0.113.7") == READER
    assert ask(PROXY, "::ffff:203.0.113.7") == READER


@pytest.mark.django_db
def test_a_link_local_readers_zone_does_not_keep_the_note_from_being_read():
    found = client_ip(RequestFactory().get("/", REMOTE_ADDR="fe80::1%eth0"))
    assert found == ip_address("fe80::1")
    token = notes.create("x")
    assert notes.read(token, found) == "x"
    assert notes.status(token).client_ip == found
