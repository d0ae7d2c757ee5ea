"""A browser without JavaScript, for the tests that need no real one: it keeps cookies and
the last form's CSRF token."""

import html
import http.client
import re
import socket
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

BOUNDARY = "a-boundary-of-the-tests"


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()


@dataclass
class Visitor:
    """`address`: which of the loopback's it connects to, and so comes from."""

    stack: object
    address: str = "127.0.0.1"
    headers: dict = field(default_factory=dict)
    cookies: dict = field(default_factory=dict)
    csrf_token: str = ""

    def get(self, path, **headers):
        return self.request("GET", path, None, headers)

    def post(self, path, fields, file=None, **headers):
        fields = {"csrfmiddlewaretoken": self.csrf_token} | fields
        if file is None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return self.request("POST", path, urlencode(fields).encode(), headers)
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        return self.request("POST", path, multipart(fields, file), headers)

    def request(self, method, path, body, headers):
        connection = self.connect()
        sent = {"Host": urlsplit(self.stack.url).netloc, "Referer": self.stack.url + "/"}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        connection.request(method, path, body, sent | self.headers | headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        for line in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        form = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', answer.body)
        if form:
            self.csrf_token = form.group(1).decode()
        return answer

    def connect(self):
        connection = http.client.HTTPConnection(self.address, self.stack.port, timeout=180)
        connection.sock = socket.create_connection((self.address, self.stack.port), 180)
        if trust := self.stack.trust():
            connection.sock = trust.wrap_socket(connection.sock, server_hostname="localhost")
        return connection

    def create(self, text="", file=None, passphrase="", **headers):
        """Returns the token and the receipt token of a new note."""
        self.get("/")
        fields = {"text": text, "expires": "hour", "passphrase": passphrase}
        made = self.post("/", fields, file, **headers)
        assert made.status == 302, made
        shown = html.unescape(self.get(made.headers["Location"]).text)
        (token,) = set(re.findall(r"bn1_[\w-]{56}", shown))
        (receipt_token,) = set(re.findall(r"br1_[\w-]{56}", shown))
        return token, receipt_token

    def reveal(self, token, passphrase="", **headers):
        self.get("/open/")
        self.post("/open/", {"link": token})
        return self.post("/reveal/", {"link": token, "passphrase": passphrase}, **headers)

    def status(self, token):
        self.get("/status/")
        return html.unescape(self.post("/status/", {"link": token}).text)


def multipart(fields, file):
    name, contents = file
    lines = []
    for key, value in fields.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{key}"', "", value]
    lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="file"; filename="{name}"']
    head = "\r\n".join([*lines, "Content-Type: application/octet-stream", "", ""])
    return head.encode() + contents + f"\r\n--{BOUNDARY}--\r\n".encode()
