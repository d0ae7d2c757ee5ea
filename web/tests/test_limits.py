"""What one stranger can do to all others, held against the real stack."""

import getpass
import html
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from ipaddress import ip_network
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from stack import DATABASE, DEPLOY, Stack, psql, wait_until
from visitor import Visitor

from burn_note import conf

GUESSES = 16  # the threads of a process, twice


# Passphrases


class Gate:
    """At the end of the server's hashes: see t/hash_gate.c."""

    def __init__(self, directory):
        self.hold = directory / "hold.all"
        self.directory = directory

    def held(self):
        return len(list(self.directory.glob("held.*")))


@pytest.fixture
def gate():
    gate = Gate(Path(os.environ["HASH_GATE"]))
    gate.hold.touch()
    yield gate
    gate.hold.unlink(missing_ok=True)
    wait_until(lambda: gate.held() == 0, "a hash does not end")


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("one"), limits=False, WEB_CONCURRENCY="1") as running:
        yield running


@pytest.fixture
def locked_notes(one_process):
    return [Visitor(one_process).create("a secret", passphrase="right")[0] for _ in range(GUESSES)]


@pytest.fixture
def guesses(one_process, locked_notes, gate):
    """As many wrong passphrases as may wait for their hashes do, and no more."""

    def guess(token):
        return Visitor(one_process).reveal(token, "wrong")

    with ThreadPoolExecutor(GUESSES) as attackers:
        answers = [attackers.submit(guess, token) for token in locked_notes]
        held = conf.DEFAULTS["BURN_NOTE_PASSPHRASE_THREADS"]
        try:
            wait_until(lambda: gate.held() >= held, "nobody hashes")
            wait_until(lambda: sum(a.done() for a in answers) == GUESSES - held, "too many wait")
            yield answers
            assert gate.held() == held  # nobody had to wait until a hash ended
        finally:
            gate.hold.unlink()


def attempts_left(token):
    return int(psql("-c", f"SELECT attempts_left FROM burn_status('{token}')"))


def test_pages_are_answered_while_passphrases_are_hashed(one_process, guesses):
    visitor = Visitor(one_process)
    assert visitor.get("/").status == 200
    token, receipt_token = visitor.create("without a passphrase")
    assert "without a passphrase" in visitor.reveal(token).text
    assert "It was read" in visitor.status(receipt_token)


def test_a_guess_for_which_no_thread_is_free_is_refused_and_costs_no_attempt(
    one_process, guesses, locked_notes
):
    refused = [answer.result() for answer in guesses if answer.done()]
    assert {answer.status for answer in refused} == {503}
    for answer in refused:
        assert int(answer.headers["Retry-After"]) > 0
        assert "This one was not, and costs no attempt." in answer.text
        assert 'name="passphrase" value="wrong"' in answer.text
    left = [attempts_left(token) for token in locked_notes]
    assert left.count(5) == len(refused)


def test_a_new_note_for_whose_passphrase_no_thread_is_free_is_given_back(one_process, guesses):
    visitor = Visitor(one_process)
    visitor.get("/")
    fields = {"text": "keep me & mine", "expires": "hour", "passphrase": "p"}
    refused = visitor.post("/", fields)
    assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (503, True)
    assert "Nothing was stored." in refused.text
    text = re.search(r"<textarea[^>]*>(.*?)</textarea>", refused.text, re.S)[1]
    assert html.unescape(text) == "\nkeep me & mine"
    del fields["passphrase"]
    assert visitor.post("/", fields).status == 302


def test_the_threads_are_free_again_afterwards(one_process, locked_notes, gate):
    gate.hold.unlink()
    for token in locked_notes:
        assert "a secret" in Visitor(one_process).reveal(token, "right").text


# Floods

# nginx takes the visitor's address from a header, as from a proxy in front of it
FROM_ANYWHERE = f"""
    set_real_ip_from 127.0.0.1;
    set_real_ip_from ::1;
    real_ip_header X-Sent-From;
    include {DEPLOY}/nginx/burn_note_server.conf;
"""
NETWORKS = ["203.0.113.0/24", "2001:db8:5::/48"]
STRANGERS = ["198.51.100.7", "2001:db8:6::7"]
ATTEMPTS = 60


@pytest.fixture(scope="module")
def anywhere(tmp_path_factory):
    """The app's limits hold; nginx's, which are seen below, only look on."""
    server = FROM_ANYWHERE + "limit_req_dry_run on;"
    with Stack(tmp_path_factory.mktemp("anywhere"), shares=True, server=server) as running:
        yield running


@pytest.fixture
def site(anywhere):
    yield anywhere
    psql("-c", "DELETE FROM burn_note WHERE id IN (SELECT id FROM burn_note_sender)")
    psql("-c", "TRUNCATE burn_note_sender")


def spread(network, bits):
    """Addresses of the network, each in another part of it."""
    network = ip_network(network)
    return [str(part.network_address) for part in network.subnets(new_prefix=bits)]


def create_from(site, addresses):
    """Returns the answers and, of the notes that were made, the tokens."""
    visitor = Visitor(site)
    visitor.get("/")
    answers, tokens = [], []
    for address in addresses:
        made = visitor.post("/", {"text": address, "expires": "week"}, **{"X-Sent-From": address})
        answers.append(made)
        if made.status == 302:
            tokens.append(visitor.cookies["burn_note_token"])
    return answers, tokens


def flood(site, network):
    return create_from(site, islice(spread(network, 58 if ":" in network else 32), ATTEMPTS))


def states(tokens):
    return [psql("-c", f"SELECT state FROM burn_status('{token}')").strip() for token in tokens]


def kept():
    return int(psql("-c", "SELECT count(*) FROM burn_note_sender"))


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_takes_its_share_and_others_create(site, network):
    answers, tokens = flood(site, network)
    assert len(tokens) == 50
    refused = answers[-1]
    assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (429, True)
    assert "Too many notes from your network" in refused.text
    assert "Nothing was stored." in refused.text
    for stranger in STRANGERS:
        assert len(create_from(site, [stranger])[1]) == 1


@pytest.mark.parametrize(
    "network, bits, share",
    [("203.0.113.9/32", 32, 20), ("2001:db8:5:1::/64", 66, 20), ("2001:db8:5:100::/56", 62, 30)],
)
def test_a_part_of_a_network_leaves_some_to_its_neighbours(site, network, bits, share):
    addresses = spread(network, bits)
    _, tokens = create_from(site, (addresses * ATTEMPTS)[:ATTEMPTS])
    assert len(tokens) == share
    neighbour = "203.0.113.10" if "." in network else "2001:db8:5:ffff::1"
    assert len(create_from(site, [neighbour])[1]) == 1


def test_a_network_cannot_fill_the_site_while_its_notes_wait(site):
    limit = psql("-c", "LOAD 'burn_note'", "-c", "SHOW burn_note.max_pending", role="burn_note_web")
    of_network = settings.BURN_NOTE_SENDER_LIMITS[2]
    days = settings.BURN_NOTE_MAX_EXPIRY / settings.BURN_NOTE_SENDERS_KEPT
    assert of_network * days < int(limit) / 2


def test_a_note_waits_for_seven_days_at_most(site):
    visitor = Visitor(site)
    assert "7 days at most." in visitor.get("/").text
    for days, status in (("7", 302), ("8", 200)):
        fields = {"text": "x", "expires": "custom", "custom_number": days, "custom_unit": "days"}
        assert visitor.post("/", fields).status == status


def test_a_note_that_was_read_makes_room(site):
    address = "203.0.113.9"
    _, tokens = create_from(site, [address] * ATTEMPTS)
    Visitor(site).reveal(tokens[7])
    answers, _ = create_from(site, [address] * 2)
    assert [answer.status for answer in answers] == [302, 429]


def test_two_who_see_that_at_once_are_both_let_in(site):
    address = "203.0.113.9"
    _, tokens = create_from(site, [address] * 20)
    Visitor(site).reveal(tokens[7])
    waiting = "SELECT 1 FROM pg_stat_activity WHERE usename = 'burn_note_web' AND wait_event_type = 'Lock'"
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(dbname=DATABASE, user=getpass.getuser()) as other,
    ):
        other.execute("DELETE FROM burn_note_sender WHERE id = burn_note_id(%s)", [tokens[7]])
        late = pool.submit(create_from, site, [address])
        wait_until(lambda: late.done() or psql("-c", waiting), "it does not look for room")
        other.commit()
        assert len(late.result()[1]) == 1


def revoke(site, *arguments):
    return site.manage("burn_note_flood", *arguments, "--revoke")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_flood_is_ended_with_receipts_and_no_strangers_note(site, network):
    _, early = create_from(site, STRANGERS)
    _, tokens = flood(site, network)
    _, late = create_from(site, STRANGERS)
    Visitor(site).reveal(tokens[0])
    listed = site.manage("burn_note_flood")
    assert re.search(rf"^{re.escape(network)} +49  ", listed.splitlines()[-1])
    assert revoke(site, "--network", network).endswith("\n49 revoked, 0 left\n")
    assert states(tokens) == ["read"] + ["revoked"] * 49
    receipts = "SELECT burn_verify_receipt(t), count(*) FROM unnest(ARRAY[{}]) AS t, burn_receipt WHERE id = burn_note_id(t) GROUP BY t"
    seen = psql("-c", receipts.format(", ".join(f"'{token}'" for token in tokens)))
    assert seen.split() == ["t|1"] * 50
    assert states(early + late) == ["sealed"] * 4
    assert network not in site.manage("burn_note_flood")


def test_a_flood_is_ended_by_its_time(site):
    _, early = create_from(site, STRANGERS)
    since = datetime.now(timezone.utc).isoformat()
    _, tokens = create_from(site, ["203.0.113.9", "2001:db8:5::1", "192.0.2.5"])
    until = datetime.now(timezone.utc).isoformat()
    _, late = create_from(site, STRANGERS)
    assert revoke(site, "--since", since, "--until", until).endswith("\n3 revoked, 0 left\n")
    assert states(tokens) == ["revoked"] * 3
    assert states(early + late) == ["sealed"] * 4


def test_nothing_is_revoked_that_was_not_chosen(site):
    _, tokens = create_from(site, STRANGERS)
    for chosen in ((), ("--until", "2999-01-01"), ("--network", "203.0.113.9/24")):
        with pytest.raises(subprocess.CalledProcessError):
            revoke(site, *chosen)
    assert states(tokens) == ["sealed"] * 2


def test_under_another_key_nothing_is_revoked_and_that_is_said(site):
    _, tokens = create_from(site, STRANGERS)
    usual = site.environment["SECRET_KEY"]
    site.environment["SECRET_KEY"] = "another" * 10
    try:
        assert revoke(site, "--since", "2000-01-01").endswith("\n0 revoked, 2 left\n")
    finally:
        site.environment["SECRET_KEY"] = usual
    assert states(tokens) == ["sealed"] * 2


# What is kept of senders


def test_who_created_a_note_is_kept_for_a_day_or_until_it_expires(site):
    visitor = Visitor(site)
    visitor.create("for an hour")
    create_from(site, STRANGERS)
    spans = psql("-c", "SELECT forget_at - created_at FROM burn_note_sender ORDER BY created_at")
    assert spans.split("\n")[:3] == ["01:00:00", "1 day", "1 day"]
    assert conf.DEFAULTS["BURN_NOTE_SENDERS_KEPT"] == timedelta(days=1)


def test_when_the_time_is_up_it_is_neither_used_nor_there(site):
    _, tokens = create_from(site, ["203.0.113.9"] * ATTEMPTS)
    psql("-c", "UPDATE burn_note_sender SET forget_at = now()")
    assert site.manage("burn_note_flood") == ""
    assert len(create_from(site, ["203.0.113.9"])[1]) == 1
    site.manage("burn_note_purge", role="burn_note_keeper")
    assert kept() == 1
    assert states(tokens) == ["sealed"] * 20


def test_what_is_kept_has_no_token_and_no_address_of_a_single_ipv6_host(site):
    _, (token, _) = create_from(site, ["2001:db8:6:7::dead:beef", "198.51.100.7"])
    receipt_token = psql("-c", f"SELECT burn_receipt_token('{token}')").strip()
    rows = psql("-c", "SELECT * FROM burn_note_sender ORDER BY created_at")
    assert "2001:db8:6:7::|2001:db8:6::|" in rows and "198.51.100.7|198.51.100.0|" in rows
    for secret in (token, receipt_token):
        assert secret not in rows and secret.encode().hex() not in rows
    revoke(site, "--network", "2001:db8:6::/48")
    assert receipt_token not in site.logs()


def test_what_is_kept_is_in_no_backup(site):
    persistence, statistics = psql(
        "-c",
        """SELECT relpersistence, (SELECT count(*) FROM pg_attribute WHERE attrelid = pg_class.oid
            AND attname IN ('address', 'network', 'receipt_token') AND attstattarget = 0)
            FROM pg_class WHERE oid = 'burn_note_sender'::regclass""",
    ).strip().split("|")
    assert (persistence, statistics) == ("u", "3")


# nginx's own


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("counted"), server=FROM_ANYWHERE) as running:
        yield running


@pytest.mark.parametrize(
    "path, network, bits, burst",
    [
        ("/", "203.0.113.0/24", 32, 20),
        ("/", "2001:db8:5::/48", 58, 20),
        ("/", "2001:db8:6:100::/56", 64, 15),
        ("/reveal/", "203.0.113.0/24", 32, 120),
        ("/reveal/", "2001:db8:5::/48", 58, 120),
        ("/reveal/", "2001:db8:6:100::/56", 64, 60),
    ],
)
def test_posts_are_counted_by_network(counted, path, network, bits, burst):
    visitor = Visitor(counted)
    addresses = spread(network, bits)[: burst + 60]
    statuses = [visitor.post(path, {}, **{"X-Sent-From": a}).status for a in addresses]
    assert statuses[: burst + 1] == [403] * (burst + 1)
    assert 429 in statuses
    stranger = {"X-Sent-From": "198.51.100.7" if path == "/" else "198.51.100.8"}
    assert visitor.post(path, {}, **stranger).status == 403
