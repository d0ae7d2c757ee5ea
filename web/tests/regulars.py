"""People who use the site in box.py all the while: says "ready" when each was served once,
and, once its input ends, what they saw, as JSON. Runs in there."""

import html
import http.client
import json
import re
import socket
import ssl
import sys
import threading
import time
from http.cookies import SimpleCookie
from urllib.parse import urlencode

NAME = "notes.example.org"
trust = ssl.create_default_context(cafile=f"/etc/letsencrypt/live/{NAME}/fullchain.pem")
ended = threading.Event()
failures = []
away = []
slowest = [0.0]


class Away(Exception):
    """502 or 503, with Retry-After: it may have been done or not."""


class Person:
    def __init__(self):
        self.cookies = {}
        self.visits = 0

    def ask(self, method, path, fields=None, expected=(200,)):
        begun = time.monotonic()
        headers = {"Host": NAME, "Referer": f"https://{NAME}/"}
        headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        body = None
        if fields is not None:
            body = urlencode({"csrfmiddlewaretoken": self.form, **fields})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", timeout=180)
        connection.sock = trust.wrap_socket(
            socket.create_connection(("127.0.0.1", 443), 180), server_hostname=NAME
        )
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        slowest[0] = max(slowest[0], time.monotonic() - begun)
        if response.status in (502, 503) and response.headers["Retry-After"]:
            away.append(f"{method} {path}")
            raise Away
        if response.status not in expected:
            raise AssertionError(f"{method} {path}: {response.status} {text[:300]}")
        for line in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        if found := re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', text):
            self.form = found[1]
        return response, text

    def patiently(self, *arguments, **options):
        """Until the site is back."""
        while True:
            try:
                return self.ask(*arguments, **options)
            except Away:
                time.sleep(0.2)

    def look_at_home(self):
        _, page = self.ask("GET", "/")
        self.files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
        assert len(self.files) == 3, self.files

    def load_files(self):
        """As the page does that this person has open."""
        for path in self.files:
            self.ask("GET", path)

    def write_and_read(self):
        text = f"note {time.monotonic_ns()} of {threading.get_ident()}"
        self.look_at_home()
        self.load_files()
        made, _ = self.ask("POST", "/", {"text": text, "expires": "hour"}, expected=(302,))
        _, shared = self.patiently("GET", made.headers["Location"])
        token, receipt_token = (
            re.search(kind + r"_[\w-]{56}", html.unescape(shared))[0] for kind in ("bn1", "br1")
        )
        _, status = self.patiently("POST", "/status/", {"link": receipt_token})
        assert "Sealed" in status, status
        _, revealed = self.patiently("POST", "/reveal/", {"link": token})
        assert text in revealed, revealed


def live(person, act, ready):
    while not ended.is_set():
        try:
            act()
        except Away:
            continue
        except Exception as error:
            failures.append(f"{time.strftime('%T')} {error!r}")
            time.sleep(0.1)
        person.visits += 1
        ready.set()
        time.sleep(0.05)


people = []
for number in range(5):
    person, ready = Person(), threading.Event()
    person.look_at_home()
    # one stays on the page that was open before
    act = person.load_files if number == 0 else person.write_and_read
    life = threading.Thread(target=live, args=(person, act, ready), daemon=True)
    life.start()
    people.append((person, ready, life))
for _, ready, _ in people:
    ready.wait()
print("ready", flush=True)
sys.stdin.read()
# each sees what is there now, too
counts = [person.visits for person, *_ in people]
while any(person.visits < count + 3 for (person, *_), count in zip(people, counts)):
    time.sleep(0.05)
ended.set()
for *_, life in people:
    life.join()
print(json.dumps({"visits": counts, "failures": failures, "away": away, "slowest": slowest[0]}))
