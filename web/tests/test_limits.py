"""What one stranger can do to all others, held against the real stack."""

import html
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stack import Stack, psql
from visitor import Visitor

from burn_note import conf

PATIENCE_SECONDS = 300
GUESSES = 16  # the threads of a process, twice


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


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
