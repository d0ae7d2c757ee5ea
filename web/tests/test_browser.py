"""What people see and do, in a real browser, through nginx, gunicorn and PostgreSQL.

SCREENSHOTS=DIRECTORY keeps a picture of each page there.
"""

import itertools
import re
import secrets
import subprocess
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

import people
import pytest
from burn_note import tokens
from django.utils import translation
from people import DESKTOP, PHONE, call, sealed
from playwright.sync_api import expect
from stack import DEPLOY, Stack, loopback, wait_until

NOTE = "\n  The safe: 17-38-05 <b>&amp; \N{KEY} Tür\n\tlast line  "
GONE = "This note is gone"
HOSTS = [f"[{address}]" if ":" in address else address for _, address in loopback()]

both_ways = pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])


def token_of(link):
    return link.partition("#")[2]


# The journey


@both_ways
@pytest.mark.parametrize("host", HOSTS)
def test_a_note_is_read_once_and_its_reader_witnessed(person, stack, host, javascript):
    url = f"https://{host}:{stack.port}"
    sender = person(url=url, javascript=javascript)
    link, status_link = sender.create(NOTE)
    assert link.startswith(f"{url}/open/#bn1_")
    assert status_link.startswith(f"{url}/status/#br1_")

    reader = person(url=url, javascript=javascript)
    reader.follow(link)
    assert reader.inner_text("h1") == "A note waits for you"
    reader.reveal()
    assert reader.input_value("#note") == NOTE
    assert reader.inner_text("[role=status]").startswith("This note is now destroyed.")

    second = person(url=url, javascript=javascript)
    second.follow(link)
    assert second.inner_text("h1") == GONE
    assert second.inner_text(".notice").startswith("If it was not you, tell the sender")

    headline, facts = sender.look_at(status_link)
    assert headline == "It was read"
    assert facts["From address"] == host.strip("[]")
    assert facts["Receipt"].startswith("Its seal is right")


@both_ways
def test_a_link_is_shown_once(person, javascript):
    sender = person(javascript=javascript)
    before = people.notes_waiting()
    link, _ = sender.create(NOTE)
    for _ in range(2):
        assert sender.reload().status == 410
        assert sender.inner_text("h1") == "This link was shown once"
        assert token_of(link) not in sender.content()
    assert people.notes_waiting() == before + 1


def test_a_double_click_makes_one_note(person):
    sender = person()
    before = people.notes_waiting()
    sender.goto("/")
    sender.fill("#id_text", NOTE)
    sender.dblclick("main form button")
    expect(sender.locator("#link")).to_be_visible()
    assert people.notes_waiting() == before + 1


def test_back_does_not_show_a_link_again(person):
    sender = person()
    link, _ = sender.create(NOTE)
    sender.get_by_role("link", name="Write another note").click()
    expect(sender.get_by_role("heading", name="A link that works once")).to_be_visible()
    sender.go_back()
    assert sender.inner_text("h1") == "This link was shown once"
    assert token_of(link) not in sender.content()


@both_ways
@pytest.mark.parametrize("size", [3000, 10 * 1024 * 1024], ids=["small", "10 MB"])
def test_a_file_comes_back_equal(person, tmp_path, size, javascript):
    file = tmp_path / "Schlüssel für \N{KEY} 'x'.tar.gz"
    file.write_bytes(secrets.token_bytes(size))
    link, _ = person(javascript=javascript).create(file=file)
    reader = person(javascript=javascript)
    reader.follow(link)
    if javascript:
        reader.reveal()
        assert file.name in reader.inner_text("main")
    with reader.expect_download() as download:
        reader.get_by_role("link", name="Save the file").click() if javascript else reader.reveal()
    assert download.value.suggested_filename == file.name
    assert download.value.path().read_bytes() == file.read_bytes()
    reader.follow(link)
    assert reader.inner_text("h1") == GONE


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(person, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(bytes(10 * 1024 * 1024 + 1))
    sender = person()
    sender.goto("/")
    expect(sender.get_by_role("alert")).to_be_hidden()
    sender.set_input_files("#id_file", file)
    expect(sender.get_by_role("alert")).to_have_text("This file is too large.")
    assert sender.input_value("#id_file") == ""


def test_characters_are_counted_as_the_server_counts_them(person):
    sender = person()
    sender.goto("/")
    sender.fill("#id_text", "\N{KEY}" * 3)
    expect(sender.locator(".counter")).to_have_text("3 / 100,000")
    sender.fill("#id_text", "x" * 100_001)
    expect(sender.locator(".counter")).to_have_class(re.compile(r"\bover\b"))
    sender.click("main form button")
    expect(sender.locator("ul.errorlist")).to_contain_text("this one has 100,001")
    assert sender.input_value("#id_text") == "x" * 100_001


@both_ways
def test_a_passphrase_is_asked_for_and_wrong_ones_are_counted(person, javascript):
    sender, reader = person(javascript=javascript), person(javascript=javascript)
    link, status_link = sender.create(NOTE, passphrase="correct horse")
    assert "The reader needs the passphrase as well" in sender.inner_text("main")
    reader.follow(link)
    reader.reveal()
    expect(reader.locator("ul.errorlist")).to_have_text("This note needs its passphrase.")
    expect(reader.locator("#id_passphrase_helptext")).to_contain_text("5 attempts are left")
    reader.reveal("Correct horse")
    expect(reader.locator("ul.errorlist")).to_have_text("That is not the passphrase.")
    expect(reader.locator("#id_passphrase_helptext")).to_contain_text("4 attempts are left")
    assert sender.look_at(status_link)[1]["Passphrase"] == "needed; 4 attempts left"
    reader.reveal("correct horse")
    assert reader.input_value("#note") == NOTE


@both_ways
def test_the_last_wrong_passphrase_destroys_the_note(person, javascript):
    sender, reader = person(javascript=javascript), person(javascript=javascript)
    link, status_link = sender.create(NOTE, passphrase="correct horse")
    reader.follow(link)
    for left in (4, 3, 2, 1):
        reader.reveal("wrong")
        expect(reader.locator("#id_passphrase_helptext")).to_have_text(
            re.compile(f"^{left} attempt")
        )
    reader.reveal("wrong")
    expect(reader.get_by_role("heading", name=GONE)).to_be_visible()
    expect(reader.locator("main")).to_contain_text("Too many wrong passphrases destroyed it")
    headline, facts = sender.look_at(status_link)
    assert headline == "Destroyed by wrong passphrases"
    assert facts["Receipt"].startswith("Its seal is right")


@both_ways
@pytest.mark.parametrize("there", ["share", "status"])
def test_burn_now_asks_first_and_in_its_place(person, javascript, there):
    sender, reader = person(javascript=javascript), person(javascript=javascript)
    link, status_link = sender.create(NOTE)
    if there == "status":
        sender.look_at(status_link)
    for _ in range(2):
        expect(sender.get_by_role("button", name="Burn it")).to_be_hidden()
        sender.click("summary")
        expect(sender.get_by_role("heading", name="Burn this note unread?")).to_be_visible()
        if javascript:
            sender.get_by_role("button", name="Keep it").click()
            expect(sender.locator("summary")).to_be_focused()
        else:
            sender.click("summary")
    if there == "share":
        assert sender.input_value("#link") == link
    sender.click("summary")
    sender.get_by_role("button", name="Burn it").click()
    expect(sender.get_by_role("heading", name="It was burned unread")).to_be_visible()
    assert sender.look_at(status_link)[1]["Receipt"].startswith("Its seal is right")
    reader.follow(link)
    assert "Its sender destroyed it unread" in reader.inner_text("main")


@both_ways
def test_a_damaged_link_says_so_and_destroys_nothing(person, stack, javascript):
    token = sealed()
    reader = person(javascript=javascript)
    for damaged in (token[:-1], token[:20] + ("A" if token[20] != "A" else "B") + token[21:]):
        reader.follow(f"{stack.url}/open/#{damaged}")
        expect(reader.locator("ul.errorlist")).to_contain_text("damaged or cut short")
    assert call("burn_status", token).startswith("(sealed")


@both_ways
def test_a_status_link_does_not_open(person, stack, javascript):
    receipt_token = call("burn_receipt_token", sealed())
    reader = person(javascript=javascript)
    reader.follow(f"{stack.url}/open/#{receipt_token}")
    expect(reader.locator("ul.errorlist")).to_contain_text("This is a status link")


def test_a_link_opens_in_a_page_that_is_already_there(person, stack):
    reader = person()
    reader.goto("/open/")
    for text in ("first", "second"):
        reader.follow(f"{stack.url}/open/#{sealed(text)}")
        expect(reader.page).to_have_url(f"{stack.url}/open/")
        expect(reader.get_by_role("heading", name="A note waits for you")).to_be_visible()
    reader.reveal()
    expect(reader.locator("#note")).to_have_value("second")


@both_ways
def test_a_custom_expiry(person, javascript):
    sender = person(javascript=javascript)
    sender.goto("/")
    sender.fill("#id_text", NOTE)
    sender.check("input[value=custom]")
    sender.select_option("#id_custom_unit", "hours")
    sender.fill("#id_custom_number", str(7 * 24 + 1))
    sender.click("main form button")
    expect(sender.locator("ul.errorlist")).to_have_text("A note can wait for 7 days at most.")
    sender.fill("#id_custom_number", "5")
    sender.click("main form button")
    expires_at = tokens.expires_at(token_of(sender.input_value("#link")))
    left = expires_at - datetime.now(timezone.utc)
    assert timedelta(hours=4, minutes=59) < left < timedelta(hours=5)


@both_ways
def test_an_expired_note_says_when(person, stack, javascript):
    reader = person(javascript=javascript)
    token = people.expired()
    reader.follow(f"{stack.url}/open/#{token}")
    assert "Nobody opened it in time. It expired on" in reader.inner_text("main")
    headline, facts = reader.look_at(f"{stack.url}/status/#{token}")
    assert headline == "It expired unread"
    assert "Receipt" not in facts


def test_times_are_the_readers_own(person, stack):
    token = sealed(expires="3 days")
    expires_at = tokens.expires_at(token)
    for zone, locale, pattern in (
        ("Asia/Kathmandu", "en-GB", "%-d %B %Y at %H:%M GMT+5:45"),
        ("Pacific/Auckland", "en-GB", "%-d %B %Y at %H:%M"),
        ("America/St_Johns", "en-GB", "%-d %B %Y at %H:%M"),
    ):
        reader = person(timezone_id=zone, locale=locale)
        reader.follow(f"{stack.url}/open/#{token}")
        shown = expires_at.astimezone(ZoneInfo(zone)).strftime(pattern)
        expect(reader.locator("time")).to_contain_text(shown)
    reader = person(javascript=False)
    reader.follow(f"{stack.url}/open/#{token}")
    assert reader.inner_text("time").endswith("UTC")


def test_german_by_what_the_browser_asks_for(person):
    for locale, language in (("de-DE", "de"), ("de-AT", "de"), ("en-US", "en"), ("fr-FR", "en")):
        reader = person(locale=locale)
        reader.goto("/open/")
        assert reader.get_attribute("html", "lang") == language
        with translation.override(language):
            assert reader.inner_text("h1") == translation.gettext("Open a link")
    assert translation.gettext("Open a link") == "Open a link"


# Copying


def pasted(page, field="#id_text"):
    """What the clipboard holds, as Ctrl+V in another tab shows it."""
    other = page.context.new_page()
    other.goto("/")
    other.focus(field)
    other.keyboard.press("Control+V")
    return other.input_value(field)


def test_copy_buttons_fill_the_clipboard(person):
    sender, reader = person(), person()
    link, status_link = sender.create(NOTE)
    for name, copied in (("Copy the link", link), ("Copy the status link", status_link)):
        button = sender.get_by_role("button", name=name)
        button.click()
        expect(sender.get_by_role("button", name="Copied")).to_be_visible()
        assert pasted(sender) == copied
        sender.bring_to_front()
        expect(button).to_be_visible()
    reader.follow(link)
    reader.reveal()
    reader.get_by_role("button", name="Copy the note").click()
    expect(reader.get_by_role("button", name="Copied")).to_be_visible()
    assert pasted(reader) == NOTE


def test_without_a_script_no_button_promises_to_copy(person):
    sender = person(javascript=False)
    sender.create(NOTE)
    expect(sender.locator("summary", has_text="Burn now")).to_be_visible()
    expect(sender.get_by_role("button", name=re.compile("Copy|Keep"))).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_qr_code_is_the_link(person, tmp_path, scheme):
    sender = person(color_scheme=scheme)
    link, _ = sender.create(NOTE)
    sender.get_by_role("img", name="QR code of the link").screenshot(path=tmp_path / "qr.png")
    command = ["zbarimg", "--quiet", "--raw", tmp_path / "qr.png"]
    decoded = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert decoded == link + "\n"


# Who opens a link without being its reader, and what stays behind in a browser


def test_a_scanner_with_a_script_burns_nothing(person):
    link, _ = person().create(NOTE)
    scanner = person()
    scanner.goto(link, wait_until="networkidle")
    expect(scanner.get_by_role("heading", name="A note waits for you")).to_be_visible()
    assert call("burn_status", token_of(link)).startswith("(sealed")
    reader = person()
    reader.follow(link)
    reader.reveal()
    assert reader.input_value("#note") == NOTE


@pytest.mark.parametrize("there", ["back and forward", "back", "reload"])
@both_ways
def test_no_button_of_the_browser_shows_a_note_again(person, stack, there, javascript):
    """Back and Forward come to what only a POST could show: Chromium asks whether to send
    it again. Reload does send it again."""
    link, _ = person().create(NOTE)
    reader = person(javascript=javascript)
    reader.goto("/status/")
    reader.follow(link)
    reader.reveal()
    assert reader.input_value("#note") == NOTE
    if there == "reload":
        reader.reload()
        assert reader.inner_text("h1") == GONE
        return
    if there == "back":
        reader.goto("/status/")
        steps = -1
    else:
        steps = reader.evaluate("history.length - 2")
        reader.evaluate(f"history.go(-{steps})")
        expect(reader.get_by_role("heading", name="Status")).to_be_visible()
    with reader.expect_event("requestfailed") as failed:
        reader.evaluate(f"history.go({steps})")
    assert (failed.value.url, failed.value.failure) == (
        f"{stack.url}/reveal/",
        "net::ERR_CACHE_MISS",
    )


@pytest.fixture
def caching(tmp_path):
    """A stack whose nginx hides that pages must not be stored."""
    server = f"""
        include {DEPLOY}/nginx/burn_note_server.conf;
        proxy_hide_header Cache-Control;
        limit_req_dry_run on;
    """
    with Stack(tmp_path, server=server) as running:
        yield running


def test_without_no_store_back_would_show_a_note_again(playwright, caching):
    with people.chromium(playwright, caching) as browser:
        reader = people.People(browser, caching)()
        reader.goto("/status/")
        reader.follow(f"/open/#{sealed(NOTE)}")
        reader.reveal()
        expect(reader.locator("#note")).to_have_value(NOTE)
        reader.goto("/status/")
        reader.go_back()
        expect(reader.locator("#note")).to_have_value(NOTE)


def test_who_comes_back_to_a_page_that_was_kept_writes_another_note(playwright, caching):
    with people.chromium(playwright, caching) as browser:
        sender = people.People(browser, caching)()
        link, _ = sender.create("first")
        sender.get_by_role("button", name="Copy the link").click()
        expect(sender.get_by_role("button", name="Copied")).to_be_visible()
        sender.evaluate("history.back()")
        expect(sender.locator("#id_text")).to_be_empty()
        expect(sender.locator("[data-sending]")).to_be_empty()
        sender.fill("#id_text", "second")
        sender.get_by_role("button", name="Create the link").click()
        expect(sender.get_by_role("heading", name="Send this link")).to_be_visible()
        assert sender.input_value("#link") != link


def test_a_followed_link_leaves_no_token_in_address_history_or_referrer(person, stack):
    link, status_link = person().create(NOTE)
    reader, seen = person(), []
    reader.context.on("request", lambda request: seen.append(request.url.partition("#")[0]))
    reader.goto("/status/")
    steps = reader.evaluate("history.length")
    for follows, view in ((link, "open"), (status_link, "status")):
        reader.follow(follows)
        assert reader.url == f"{stack.url}/{view}/"
        assert reader.evaluate("document.referrer") in ("", f"{stack.url}/{view}/")
    assert reader.evaluate("history.length") == steps + 2
    reader.follow(link)
    reader.reveal()
    assert reader.url == f"{stack.url}/reveal/"
    assert reader.evaluate("document.referrer") == f"{stack.url}/open/"
    assert len(seen) > 10
    assert not [url for url in seen if re.search("b[nr]1_", url)]


# Logs


def traces(secret):
    """How a log might have written it."""
    raw = secret.encode()
    yield from (secret, quote(secret, safe=""), quote_plus(secret), raw.hex(), raw.hex().upper())
    for shift in range(3):
        # of base64, what does not depend on what stands before and after
        encoded = b64encode(bytes(shift) + raw).decode()[4 if shift else 0 :].rstrip("=")[:-1]
        yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


def found_in(logs, unseen):
    return {secret for secret in unseen if any(trace in logs for trace in traces(secret))}


@pytest.fixture
def chatty(tmp_path):
    """A stack whose nginx keeps besides the log that it keeps by default, queries,
    referrers and all."""
    server = f"""
        access_log {tmp_path}/logs/usual.log combined;
        include {DEPLOY}/nginx/burn_note_server.conf;
        limit_req_dry_run on;
    """
    with Stack(tmp_path, server=server) as running:
        yield running


def test_no_log_has_a_token_a_note_or_a_passphrase(playwright, chatty, tmp_path):
    unseen = set()
    with people.chromium(playwright, chatty) as browser:
        for javascript in (True, False):
            person = people.People(browser, chatty)
            sender, reader = person(javascript=javascript), person(javascript=javascript)
            note, name, contents, passphrase = (secrets.token_hex(12) + " &ü~?>" for _ in range(4))
            file = tmp_path / name.replace("/", " ")
            file.write_text(contents)
            text_links = sender.create(note, passphrase=passphrase)
            reader.follow(text_links[0])
            reader.reveal(passphrase + "!")
            reader.reveal(passphrase)
            assert reader.input_value("#note") == note
            file_links = sender.create(file=file)
            reader.follow(file_links[0])
            if javascript:
                reader.reveal()
                expect(reader.get_by_role("link", name="Save the file")).to_be_visible()
            else:
                with reader.expect_download():
                    reader.reveal()
            burned_links = sender.create(note)
            sender.click("summary")
            sender.get_by_role("button", name="Burn it").click()
            expect(sender.get_by_role("heading", name="It was burned unread")).to_be_visible()
            reader.follow(burned_links[0])
            sender.look_at(text_links[1])
            links = (*text_links, *file_links, *burned_links)
            unseen |= {note, name, contents, passphrase, *map(token_of, links)}
            person.leave()
        assert len(unseen) == 20
        # nginx logs after it has answered
        usual = tmp_path / "logs/usual.log"
        wait_until(lambda: usual.read_text().count("POST /reveal/") == 6, "nginx does not log")
        assert found_in(chatty.logs(), unseen) == set()

        # and now as it would be with tokens in queries
        person = people.People(browser, chatty)
        page = person()
        for secret in unseen:
            page.goto(f"/open/?link={quote(secret)}")
        wait_until(lambda: found_in(chatty.logs(), unseen) == unseen, "nginx does not log")


# With the keyboard


def tab_to(page, target, key="Tab"):
    """Presses `key` until `target` has the focus; each stop on the way can be seen."""
    for _ in range(30):
        page.keyboard.press(key)
        assert focus_is_visible(page)
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{key} does not get to {target}")


def focus_is_visible(page):
    """Whether what has the focus looks otherwise without it."""
    focused = surroundings(page, "document.activeElement")
    page.evaluate("window.focused = document.activeElement; window.focused.blur()")
    blurred = surroundings(page, "window.focused")
    page.evaluate("window.focused.focus({ preventScroll: true })")
    return focused != blurred


def surroundings(page, element):
    """A picture, once two are equal: the first after a change may not be all drawn."""
    box = page.evaluate(f"{element}.getBoundingClientRect().toJSON()")
    left, top = max(box["x"] - 8, 0), max(box["y"] - 8, 0)
    clip = {"x": left, "y": top, "width": box["width"] + 16, "height": box["height"] + 16}
    last = None
    while (picture := page.screenshot(animations="disabled", clip=clip)) != last:
        last = picture
    return picture


def test_the_whole_journey_by_keyboard(person):
    sender, reader = person(), person()
    sender.goto("/")
    expect(sender.locator("#id_text")).to_be_focused()
    sender.keyboard.type("from the keyboard")
    tab_to(sender, sender.get_by_role("radio", name="1 day"))
    sender.keyboard.press("ArrowRight")
    expect(sender.get_by_role("radio", name="1 week")).to_be_checked()
    tab_to(sender, sender.get_by_role("button", name="Create the link"))
    tab_to(sender, sender.get_by_label("Passphrase"), "Shift+Tab")
    sender.keyboard.press("Enter")
    expect(sender.get_by_role("heading", name="Send this link")).to_be_visible()
    tab_to(sender, sender.get_by_role("button", name="Copy the link"))
    sender.keyboard.press("Space")
    expect(sender.get_by_role("button", name="Copied")).to_be_visible()
    tab_to(sender, sender.get_by_role("link", name="Write another note"))
    tab_to(sender, sender.locator("summary"))
    sender.keyboard.press("Enter")
    tab_to(sender, sender.get_by_role("button", name="Burn it"))

    reader.goto("/")
    reader.keyboard.press("Shift+Tab")
    tab_to(reader, reader.get_by_role("link", name="Open a link"), "Shift+Tab")
    reader.keyboard.press("Enter")
    expect(reader.get_by_role("heading", name="Open a link")).to_be_visible()
    tab_to(reader, reader.get_by_label("Link"))
    reader.keyboard.insert_text(sender.input_value("#link"))
    reader.keyboard.press("Enter")
    expect(reader.get_by_role("heading", name="A note waits for you")).to_be_visible()
    tab_to(reader, reader.get_by_role("button", name="Show the note and destroy it"))
    reader.keyboard.press("Space")
    expect(reader.locator("#note")).to_have_value("from the keyboard")
    tab_to(reader, reader.get_by_role("button", name="Copy the note"))


def test_the_first_tab_skips_to_the_content(person):
    reader = person()
    reader.goto("/open/")
    reader.keyboard.press("Tab")
    expect(reader.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    reader.keyboard.press("Enter")
    expect(reader.locator("#main")).to_be_focused()


# Every page


def page_create_filled(page):
    page.goto("/")
    page.fill("#id_text", "Router in the cellar\nadmin / kP4!vR-92-xw")
    page.check("input[value=custom]")
    page.fill("#id_passphrase", "seven green bottles")


def page_create_errors(page):
    page_create_filled(page)
    page.fill("#id_text", "")
    page.fill("#id_custom_number", "400")
    page.click("main form button")
    page.locator("ul.errorlist").first.wait_for()


def page_shared(page):
    page.create("x")
    page.reload()


def page_wrong_passphrase(page):
    page.follow(f"/open/#{sealed(passphrase='right')}")
    page.reveal("wrong")
    page.locator("ul.errorlist").wait_for()


def page_revealed(page, token=None):
    page.follow(
        f"/open/#{token or sealed('Router in the cellar' + chr(10) + 'admin / kP4!vR-92-xw')}"
    )
    page.reveal()
    page.locator("[role=status]").wait_for()


def page_create_refused(page):
    page_create_filled(page)
    page.context.clear_cookies()
    page.click("main form button")
    expect(page.get_by_role("alert").first).to_be_focused()


def page_trouble(page):
    page.goto("/open/")
    page.context.clear_cookies()
    page.fill("#id_link", sealed())
    page.click("main form button")
    page.locator("main .card h1").wait_for()


def page_burn(page):
    page.create("x")
    page.click("summary")


def page_burn_of_status(page):
    page.follow(f"/status/#{sealed()}")
    page.click("summary")


def page_sending(page):
    page_create_filled(page)
    page.route("**/", lambda route: None)
    page.click("main form button")
    page.get_by_text("Stop").or_(page.get_by_text("Anhalten")).wait_for()


def page_looking(page):
    page.route(
        "**/open/",
        lambda route: route.continue_()
        if route.request.method == "GET"
        else route.abort("aborted"),
    )
    page.goto(f"/open/#{sealed()}", wait_until="commit")
    page.locator("[data-looking]:not(:empty)").wait_for()


def page_sent_twice(page):
    page.follow(f"/open/#{sealed()}")
    page.route("**/reveal/", lambda route: route.abort("aborted"))
    for _ in range(2):
        page.click("main form button")
    page.locator("[data-sent]:not(:empty)").wait_for()


def refused_by_nginx(status):
    return lambda page: page.goto(
        f"/static/errors/{page.evaluate('navigator.language.slice(0, 2)')}/{status}.html"
    )


def opened(make):
    return lambda page: page.follow(f"/open/#{make()}")


def looked_at(make):
    return lambda page: page.follow(f"/status/#{make()}")


PAGES = {
    "create": lambda page: page.goto("/"),
    "create-filled": page_create_filled,
    "create-errors": page_create_errors,
    "share": lambda page: page.create("x", passphrase="y"),
    "shared": page_shared,
    "open": lambda page: page.goto("/open/"),
    "open-damaged": opened(lambda: sealed()[:-1]),
    "waiting": opened(sealed),
    "waiting-passphrase": opened(lambda: sealed(passphrase="right")),
    "waiting-wrong-passphrase": page_wrong_passphrase,
    "revealed": page_revealed,
    "revealed-file": lambda page: page_revealed(
        page,
        people.sealed_file(
            "vpn-client-configuration-for-the-new-office-2026.tar.gz", bytes(20_000)
        ),
    ),
    "gone-read": opened(people.read),
    "gone-expired": opened(people.expired),
    "gone-revoked": opened(people.revoked),
    "gone-locked": opened(people.locked),
    "gone-unknown": opened(people.unknown),
    "status": lambda page: page.goto("/status/"),
    "status-sealed": looked_at(lambda: sealed(passphrase="right")),
    "status-read": looked_at(people.read),
    "status-expired": looked_at(people.expired),
    "status-revoked": looked_at(people.revoked),
    "status-locked": looked_at(people.locked),
    "status-unknown": looked_at(people.unknown),
    "status-forged": looked_at(people.forged),
    "burn": page_burn,
    "burn-of-status": page_burn_of_status,
    "trouble": page_trouble,
    "create-refused": page_create_refused,
    "sending": page_sending,
    "looking": page_looking,
    "sent-twice": page_sent_twice,
    "not-found": lambda page: page.goto("/nowhere/"),
    **{f"nginx-{n}": refused_by_nginx(n) for n in ("400", "404", "413", "429", "502")},
}


SIZES = {"desktop": DESKTOP, "phone": PHONE}
# words differ by language, colours do not
LOOKS = {"en": list(itertools.product(SIZES, ("light", "dark"))), "de": [("phone", "light")]}


@pytest.mark.parametrize("language", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_and_fits(person, name, language):
    page = person(locale=language, reduced_motion="reduce")
    PAGES[name](page)
    assert page.get_attribute("html", "lang") == language
    for device, scheme in LOOKS[language]:
        page.set_viewport_size(SIZES[device])
        page.emulate_media(color_scheme=scheme)
        assert people.axe_violations(page) == [], (device, scheme)
        people.screenshot(page, f"{name}-{language}-{device}-{scheme}")
    # 640: a window of 1280 pixels at 200 %
    for width in (320, 360, 640):
        page.set_viewport_size({"width": width, "height": 740})
        assert not people.scrolls_sideways(page), width
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        people.enlarge_text(page, 200)
        assert not people.scrolls_sideways(page), f"{width} with large text"
        people.screenshot(page, f"{name}-{language}-{width}-large")


@pytest.fixture
def album(tmp_path):
    return Path(people.SCREENSHOTS or tmp_path)


def test_the_readmes_pictures(person, album):
    """tools/pictures keeps them."""
    for name, scheme in (("readme-create", "light"), ("readme-share", "dark")):
        page = person(
            url=f"https://{people.SITE}",
            color_scheme=scheme,
            viewport={"width": 740, "height": 600},
            device_scale_factor=1.5,
            reduced_motion="reduce",
        )
        page.goto("/")
        page.fill("#id_text", "Router in the cellar\nadmin / kP4!vR-92-xw")
        if name == "readme-share":
            page.click("main form button")
            expect(page.get_by_role("heading", name="Send this link")).to_be_visible()
        page.evaluate("document.activeElement.blur()")
        height = page.evaluate(
            "document.querySelector('main').getBoundingClientRect().bottom + scrollY"
        )
        picture = album / f"{name}.png"
        clip = {"x": 0, "y": 0, "width": 740, "height": height + 24}
        page.screenshot(path=picture, full_page=True, clip=clip)
        assert picture.stat().st_size < 150_000


def test_these_looks_see_what_is_wrong(person):
    page = person()
    page.goto("/")
    page.set_viewport_size(PHONE)
    page.evaluate(
        """() => {
            document.querySelector("label[for=id_file]").remove();
            document.querySelector(".lead").style.color = "#ccc";
            document.querySelector(".card").style.minWidth = "400px";
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.head.append(script);
        }"""
    )
    assert {"label", "color-contrast"} <= {rule for rule, _ in people.axe_violations(page)}
    assert people.scrolls_sideways(page)
    page.focus(".brand")
    page.evaluate("document.activeElement.style.outline = 'none'")
    assert not focus_is_visible(page)
    (complaint,) = person.complaints
    assert "Content Security Policy" in complaint
    assert page.evaluate("window.ran") is None
    person.complaints.clear()
