"""For the tests in a real browser: the people who use the pages, the notes that they find
there, and what is looked at on each page.

Chromium believes the stack's own certificate by the hash of its key, so that the pages are
what they are behind a real one: secure, and allowed into the cache for Back and Forward,
which Playwright would otherwise turn off.
"""

import hashlib
import os
import subprocess
from base64 import b64decode, b64encode
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from burn_note.files import File
from playwright.sync_api import expect
from stack import psql

# How long a page may take on a busy machine, in milliseconds
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)

CHROMIUM = "/usr/bin/chromium"
SITE = "notes.example.org"
SCREENSHOTS = os.environ.get("SCREENSHOTS")
DESKTOP = {"width": 1100, "height": 800}
PHONE = {"width": 360, "height": 740}

# What a browser says by itself of an answer that is meant to be no 200
STATUS_LINE = "Failed to load resource: the server responded with a status of "

AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium(playwright, stack):
    """A browser that knows this stack's certificate, and finds it also as https://SITE."""
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--ignore-certificate-errors-spki-list={key_hash(stack)}",
            f"--host-resolver-rules=MAP {SITE}:443 127.0.0.1:{stack.port}",
        ],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser
    browser.close()


def key_hash(stack):
    command = ["openssl", "x509", "-in", stack.directory / "certificate.pem", "-noout", "-pubkey"]
    pem = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    der = b64decode("".join(pem.splitlines()[1:-1]))
    return b64encode(hashlib.sha256(der).digest()).decode()


class Person:
    """One, in a browser profile of their own: its page, and what people do there in any
    language."""

    def __init__(self, page, javascript):
        self.page = page
        self.javascript = javascript

    def __getattr__(self, name):
        return getattr(self.page, name)

    def create(self, text="", *, file=None, passphrase=""):
        """Returns the link and the status link."""
        self.goto("/")
        self.fill("#id_text", text)
        if file:
            self.set_input_files("#id_file", file)
        self.fill("#id_passphrase", passphrase)
        self.click("main form button")
        return self.input_value("#link"), self.input_value("#status-link")

    def follow(self, link):
        """As one does from a mail. Without a script the page asks for the link again."""
        if not self.javascript:
            self.goto("about:blank")  # from a page of the same path it would go nowhere
        self.goto(link, wait_until="commit")
        if not self.javascript:
            self.fill("#id_link", link)
            self.click("main form button")
        self.wait_for_selector("main .card h1, main ul.errorlist")

    def reveal(self, passphrase=None):
        if passphrase is not None:
            self.fill("#id_passphrase", passphrase)
        self.click("main form button")

    def look_at(self, status_link):
        """Returns the status page's headline, and its facts by their names."""
        self.follow(status_link)
        names = self.locator("dt").all_inner_texts()
        return self.inner_text("h1"), dict(zip(names, self.locator("dd").all_inner_texts()))


class People:
    """Each has a fresh browser profile. `complaints`: what their browsers did not like,
    refusals by the Content-Security-Policy among it."""

    def __init__(self, browser, stack):
        self.browser = browser
        self.stack = stack
        self.contexts = []
        self.complaints = []

    def __call__(self, *, javascript=True, url=None, locale="en-GB", **options):
        """Returns a new person."""
        context = self.browser.new_context(
            base_url=url or self.stack.url,
            java_script_enabled=javascript,
            locale=locale,
            **{"timezone_id": "Europe/Berlin", "viewport": DESKTOP} | options,
        )
        context.set_default_timeout(PATIENCE)
        context.on("console", self.heard)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.contexts.append(context)
        return Person(context.new_page(), javascript)

    def heard(self, message):
        if message.type in ("error", "warning") and not message.text.startswith(STATUS_LINE):
            self.complaints.append(message.text)

    def leave(self):
        for context in self.contexts:
            context.close()


# What they find: notes made and ended in SQL, which takes no page


def call(function, *arguments):
    """The text that an SQL function returns."""
    values = ("NULL" if a is None else "'" + str(a).replace("'", "''") + "'" for a in arguments)
    return psql("-c", f"SELECT {function}({', '.join(values)})").strip()


def sealed(text="The safe: 17-38-05", expires="1 day", passphrase=None):
    return call("burn_create", text, expires, passphrase)


def sealed_file(name, contents):
    return call("burn_create_bytes", "\\x" + File(name, contents).to_note().hex())


def read():
    token = sealed()
    call("burn_read", token, "2001:db8:85a3:8d3:1319:8a2e:370:7348")
    return token


def revoked():
    token = sealed()
    call("burn_revoke", token, "192.0.2.7")
    return token


def locked():
    token = sealed(passphrase="right")
    for _ in range(int(call("current_setting", "burn_note.max_attempts"))):
        psql("-c", f"SELECT burn_read('{token}', '192.0.2.7', 'wrong')")
    return token


def expired():
    token = sealed(expires="1 millisecond")
    while call("burn_status", token).startswith("(sealed"):
        pass
    return token


def unknown():
    token = sealed()
    psql("-c", f"DELETE FROM burn_note WHERE id = burn_note_id('{token}')")
    return token


def forged():
    """Somebody with the right to write the table has put another address there."""
    token = read()
    psql(
        "-c",
        f"UPDATE burn_receipt SET client_ip = '192.0.2.8' WHERE id = burn_note_id('{token}')",
    )
    return token


def notes_waiting():
    return int(psql("-c", "SELECT count(*) FROM burn_note"))


# What is looked at on each page


def axe_violations(page):
    found = Axe().run(page, options={"runOnly": AXE_RULES, "resultTypes": ["violations"]})
    return [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in found.response["violations"]
    ]


def scrolls_sideways(page):
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


def enlarge_text(page, percent):
    page.evaluate("percent => { document.documentElement.style.fontSize = percent + '%' }", percent)


def screenshot(page, name):
    """Where SCREENSHOTS names a directory."""
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)
