"""What a browser makes of the pages, as far as the tests need it."""

import html
import re

from django.test import Client
from django.urls import reverse

CREATE, OPEN, REVEAL, STATUS, BURN = (
    reverse(f"burn_note:{name}") for name in ("create", "open", "reveal", "status", "burn")
)


class Browser(Client):
    """Over HTTPS, from an address that is no proxy's. Sends a cookie only where its path
    says, which Django's client does not care for."""

    def __init__(self, **options):
        defaults = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "testserver"}
        super().__init__(**{"REMOTE_ADDR": "192.0.2.7", **defaults, **options})
        self.jar = {}

    def request(self, **request):
        sent = {k: v for k, v in self.jar.items() if request["PATH_INFO"].startswith(k[1])}
        request["HTTP_COOKIE"] = "; ".join(f"{name}={v}" for (name, _path), v in sent.items())
        self.cookies.clear()
        response = super().request(**request)
        for name, cookie in response.cookies.items():
            if cookie["max-age"] == 0:
                self.jar.pop((name, cookie["path"]), None)
            else:
                self.jar[name, cookie["path"]] = cookie.value
        return response


def body(response) -> str:
    return response.content.decode()


def value(response, field: str) -> str:
    """What the inputs with that id or name hold, all the same."""
    tags = re.findall(rf'<input\b[^>]* (?:id|name)="{field}"[^>]*>', body(response))
    (found,) = {re.search(r' value="([^"]*)"', tag)[1] for tag in tags}
    return html.unescape(found)


def links(page) -> tuple[str, str]:
    """The share page's two: for the reader, and for the sender."""
    shown = re.findall(r'<input\b[^>]* id="(?:status-)?link" value="([^"]*)"', body(page))
    link, status_link = map(html.unescape, shown)
    return link, status_link


def text(response, field: str) -> str:
    """What the text area with that id holds: HTML drops its first line feed."""
    (inner,) = re.findall(
        rf'<textarea\b[^>]*\bid="{field}"[^>]*>(.*?)</textarea>', body(response), re.DOTALL
    )
    return html.unescape(inner.removeprefix("\n"))


def errors(response) -> list[str]:
    """The words of the form's complaints."""
    lists = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', body(response), re.DOTALL)
    return [html.unescape(item) for ul in lists for item in re.findall(r"<li>(.*?)</li>", ul)]


def heading(response) -> str:
    return html.unescape(re.search(r"<h1>(.*?)</h1>", body(response), re.DOTALL)[1])


def fields(**changed):
    """What the create page sends if only these are filled in."""
    return {"text": "", "expires": "day", "custom_number": "3", "custom_unit": "days"} | {
        "passphrase": "",
        **changed,
    }


def create(browser, **changed):
    """Creates a note by the pages; returns the link's token and the share page."""
    response = browser.post(CREATE, fields(**changed))
    assert response.status_code == 302, errors(response)
    page = browser.get(response["Location"])
    assert page.status_code == 200
    return links(page)[0].partition("#")[2], page
