"""In a real browser: what was put in is not lost, whoever refuses it, and neither is the only
copy of a link."""

import os
import re
from base64 import b64encode
from contextlib import contextmanager

import people
import pytest
from people import DESKTOP, PHONE, sealed
from playwright.sync_api import expect
from stack import DATABASE, Stack, psql
from visitor import Visitor

NOTE = "The safe: 17-38-05"
CREATE = "Create the link"

both_ways = pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A stack whose nginx counts, and whose gunicorn and way to PostgreSQL can be taken
    away."""
    directory = tmp_path_factory.mktemp("own")
    sockets = directory / "sockets"
    sockets.mkdir()
    let_in(sockets)
    with Stack(directory, PGHOST=str(sockets)) as running:
        running.sockets = sockets
        yield running


def let_in(sockets):
    name = f".s.PGSQL.{os.environ.get('PGPORT', 5432)}"
    (sockets / name).symlink_to(f"{os.environ['PGHOST']}/{name}")


@contextmanager
def no_database(stack):
    for link in stack.sockets.iterdir():
        link.unlink()
    psql(
        "-c",
        f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        f" WHERE usename = 'burn_note_web' AND datname = '{DATABASE}'",
    )
    try:
        yield
    finally:
        let_in(stack.sockets)


@contextmanager
def no_gunicorn(stack):
    gunicorn = stack.children.pop(0)
    gunicorn.terminate()
    gunicorn.wait()
    try:
        yield
    finally:
        stack.start_gunicorn()
        stack.children.insert(0, stack.children.pop())
        stack.wait_until_answered()


@contextmanager
def no_patience(stack):
    """nginx has had enough of our address for some seconds."""
    visitor = Visitor(stack)
    while visitor.post("/", {}).status != 429:
        pass
    yield


@contextmanager
def no_line(sender):
    sender.context.set_offline(True)
    yield
    sender.context.set_offline(False)


@pytest.fixture
def anybody(playwright, own):
    with people.chromium(playwright, own) as browser:
        visiting = people.People(browser, own)
        yield lambda **options: visiting(url=f"https://127.0.0.1:{own.port}", **options)
        visiting.leave()
        cut = "Failed to load resource: net::ERR_INTERNET_DISCONNECTED"
        assert [complaint for complaint in visiting.complaints if complaint != cut] == []


def put_in(sender, file=None):
    sender.goto("/")
    if file:
        sender.set_input_files("#id_file", file)
    else:
        sender.fill("#id_text", NOTE)
    sender.check("input[value=week]")
    sender.fill("#id_passphrase", "seven green bottles")


def is_still_there(sender, file=None):
    expect(sender.locator("#id_text")).to_have_value("" if file else NOTE)
    expect(sender.locator("#id_passphrase")).to_have_value("seven green bottles")
    expect(sender.locator("input[value=week]")).to_be_checked()
    if file:
        chosen = "[...document.querySelector('#id_file').files].map((file) => file.name)"
        assert sender.evaluate(chosen) == [file.name]


def create(sender):
    sender.get_by_role("button", name=CREATE).click()


def create_until_told(sender, words):
    """False where a note was made: nginx has its patience back, in time, and a test before
    this one may have used it up."""
    alert = sender.locator("[data-alert]:not([hidden])")
    create(sender)
    alert.or_(sender.locator("#link")).wait_for()
    if not alert.is_visible():
        return False
    while words not in alert.inner_text() and "Too many requests" in alert.inner_text():
        create(sender)
        expect(sender.locator("[data-sending]")).to_be_empty()
    is_told(sender, words)
    return True


def is_told(sender, words):
    alert = sender.get_by_role("alert").filter(has_text=words)
    expect(alert).to_be_focused()
    expect(alert).to_contain_text("What you put in is still here.")
    expect(sender.page).to_have_title(re.compile("^Error: "))


def create_in_the_end(sender):
    """Presses the button until nobody refuses any more."""
    while not sender.locator("#link").is_visible():
        create(sender)
        sender.locator("#link").or_(sender.locator("[data-alert]:not([hidden])")).wait_for()
    return sender.input_value("#link")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "contract.pdf"
    path.write_bytes(b"x" * 100_000)
    return path


REFUSALS = {
    "429": (no_patience, "Too many requests from your address. Nothing was stored"),
    "502": (no_gunicorn, "it is not sure whether a note was stored"),
    "503": (no_database, "The database cannot be used just now. Nothing was stored"),
}


@pytest.mark.parametrize("with_file", [False, True], ids=["text", "file"])
@pytest.mark.parametrize("refusal", [*REFUSALS, "403", "offline"])
def test_with_a_script_all_that_was_put_in_stays(anybody, own, file, refusal, with_file):
    file = file if with_file else None
    sender = anybody()
    put_in(sender, file)
    before = people.notes_waiting()
    if refusal == "403":
        sender.context.clear_cookies()
        assert create_until_told(sender, "This page was open for too long")
    elif refusal == "offline":
        with no_line(sender):
            assert create_until_told(sender, "There was no proper answer. It is not sure")
    else:
        take_away, words = REFUSALS[refusal]
        told = False
        while not told:
            before = people.notes_waiting()
            with take_away(own):
                told = create_until_told(sender, words)
            if not told:
                assert refusal == "429"
                put_in(sender, file)
    is_still_there(sender, file)
    assert people.notes_waiting() == before
    link = create_in_the_end(sender)
    assert people.notes_waiting() == before + 1
    token = link.partition("#")[2]
    read = "burn_read_bytes" if file else "burn_read"
    length = psql("-c", f"SELECT length({read}('{token}', NULL, 'seven green bottles'))")
    assert int(length) >= (100_000 if file else len(NOTE))


@pytest.mark.parametrize("with_file", [False, True], ids=["text", "file"])
@pytest.mark.parametrize("refusal", ["403", "503"])
def test_without_a_script_the_form_comes_back_but_for_a_file(anybody, own, file, refusal, with_file):
    file = file if with_file else None
    sender = anybody(javascript=False)
    put_in(sender, file)
    alert = sender.get_by_role("alert").filter(has_text="What you put in is still here")
    if refusal == "403":
        sender.context.clear_cookies()
        create(sender)
        reload_until(sender, alert)
    else:
        with no_database(own):
            create(sender)
            reload_until(sender, alert)
    expect(alert).to_be_focused()
    expect(sender.get_by_text("Choose the file again")).to_have_count(1 if file else 0)
    if file:
        sender.set_input_files("#id_file", file)
    is_still_there(sender, file)
    create(sender)
    reload_until(sender, sender.locator("#link"))


def reload_until(sender, there):
    """Each time the browser sends its form again."""
    while not there.is_visible():
        sender.reload()


@pytest.mark.parametrize("refusal", ["429", "502"])
def test_without_a_script_reloading_sends_it_all_again(anybody, own, file, refusal):
    """What nginx refuses, gunicorn never had; the browser still has it."""
    sender = anybody(javascript=False)
    put_in(sender, file)
    take_away, words = REFUSALS[refusal]
    with take_away(own):
        create(sender)
        reload_until(sender, sender.get_by_text(words))
        expect(sender.locator("main")).to_contain_text("reload this page")
    reload_until(sender, sender.locator("#link"))
    token = sender.input_value("#link").partition("#")[2]
    length = psql("-c", f"SELECT length(burn_read_bytes('{token}', NULL, 'seven green bottles'))")
    assert int(length) > 100_000


def test_a_text_that_nginx_does_not_take_stays(person):
    sender = person()
    put_in(sender)
    # unseen: Chromium takes its time to lay that out
    sender.evaluate(
        """() => Object.assign(document.querySelector('#id_text'),
            { hidden: true, value: 'x'.repeat(12 * 1024 * 1024) })"""
    )
    create(sender)
    is_told(sender, "This is larger than the site takes. Nothing was stored.")
    assert sender.evaluate("document.querySelector('#id_text').value.length") == 12 * 1024 * 1024


def test_a_file_stays_chosen_beside_an_error(person, file):
    sender = person()
    put_in(sender, file)
    sender.check("input[value=custom]")
    sender.fill("#id_custom_number", "400")
    create(sender)
    expect(sender.locator("ul.errorlist")).to_have_text("A note can wait for 7 days at most.")
    expect(sender.locator("#id_custom_number")).to_be_focused()
    expect(sender.page).to_have_title(re.compile("^Error: New note"))
    sender.fill("#id_custom_number", "3")
    create(sender)
    expect(sender.locator("#link")).to_be_visible()


@pytest.mark.parametrize("whose", ["ours", "the browser's"])
def test_who_stops_is_told_and_can_send_again(person, whose):
    sender = person()
    put_in(sender)
    held = []
    sender.route("**/", lambda route: held.append(route))
    create(sender)
    expect(sender.get_by_text("Sending …")).to_be_visible()
    create(sender)
    if whose == "ours":
        sender.get_by_role("button", name="Stop").click()
        is_told(sender, "Stopped. It is not sure whether your note was stored.")
    else:
        sender.evaluate("window.stop()")
        is_told(sender, "There was no proper answer.")
    expect(sender.get_by_role("button", name="Stop")).to_be_hidden()
    is_still_there(sender)
    assert len(held) == 1
    sender.unroute("**/")
    create_in_the_end(sender)


def stopped(page, path):
    """As by the browser's Stop: the answer never comes, and the page stays."""
    page.route(
        f"**/{path}/",
        lambda route: route.continue_()
        if route.request.method == "GET"
        else route.abort("aborted"),
    )


def test_who_stops_a_reveal_is_told_what_to_do(person):
    reader = person()
    reader.follow(f"/open/#{sealed(NOTE)}")
    stopped(reader, "reveal")
    button = reader.get_by_role("button", name="Show the note and destroy it")
    button.click()
    expect(reader.locator("[data-sent]")).to_be_empty()
    button.click()
    expect(reader.locator("[data-sent]")).to_contain_text("This was sent already.")
    reader.unroute("**/reveal/")
    reader.reload()
    button.click()
    expect(reader.locator("#note")).to_have_value(NOTE)


@pytest.mark.parametrize("page, words", [("open", "The note is being"), ("status", "The status is being")])
def test_a_token_does_not_stand_in_its_field_on_a_slow_line(person, page, words):
    token = sealed(NOTE)
    reader = person()
    stopped(reader, page)
    reader.goto(f"/{page}/#{token}", wait_until="commit")
    expect(reader.get_by_role("status")).to_contain_text(words)
    expect(reader.locator("#id_link")).to_be_hidden()
    reader.unroute(f"**/{page}/")
    reader.click("main form button")
    expect(reader.locator("main .state h1")).to_be_visible()


# The only copy of a link


class Dialogs(list):
    """Answers each question of whether to leave by staying."""

    def __init__(self, page):
        page.on("dialog", self.stay)

    def stay(self, dialog):
        self.append(dialog.type)
        dialog.dismiss()


LEAVING = {
    "another note": lambda page: page.get_by_role("link", name="Write another note").click(),
    "the top": lambda page: page.get_by_role("link", name="Open a link").click(),
    "reload": lambda page: page.evaluate("location.reload()"),
    "back": lambda page: page.evaluate("history.back()"),
}


@pytest.mark.parametrize("way", LEAVING)
def test_leaving_asks_until_the_link_was_copied(person, way):
    sender = person()
    link, _ = sender.create(NOTE)
    # browsers ask only who has touched the page
    sender.click("h1")
    asked = Dialogs(sender)
    LEAVING[way](sender)
    sender.wait_for_function("true")
    expect(sender.locator("#link")).to_have_value(link)
    assert asked == ["beforeunload"]
    sender.get_by_role("button", name="Copy the link").click()
    expect(sender.get_by_role("button", name="Copied")).to_be_visible()
    LEAVING[way](sender)
    expect(sender.get_by_role("heading", name="Send this link")).to_be_hidden()
    assert asked == ["beforeunload"]


def test_a_link_copied_by_hand_is_copied(person):
    """All of it, that is: the first time it is one character."""
    sender = person()
    sender.create(NOTE)
    asked = Dialogs(sender)
    for selecting in (["Home", "Shift+ArrowRight"], ["Control+A"]):
        sender.focus("#link")
        for key in (*selecting, "Control+C"):
            sender.keyboard.press(key)
        LEAVING["another note"](sender)
        assert asked == ["beforeunload"]
    expect(sender.get_by_role("heading", name="A link that works once")).to_be_visible()


def test_who_burns_the_note_is_not_asked_for_its_link(person):
    sender = person()
    sender.create(NOTE)
    asked = Dialogs(sender)
    sender.click("summary")
    sender.get_by_role("button", name="Burn it").click()
    expect(sender.get_by_role("heading", name="It was burned unread")).to_be_visible()
    assert asked == []


SIZES = [DESKTOP, PHONE, *({"width": w, "height": h} for w, h in ((1280, 720), (320, 568), (412, 915), (768, 1024), (1920, 1080)))]


@both_ways
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size['width']}x{size['height']}")
def test_burn_now_is_not_where_the_pointer_was(person, size, javascript):
    """Beside it, or further down than the window goes."""
    sender = person(viewport=size, javascript=javascript)
    put_in(sender)
    button = sender.get_by_role("button", name=CREATE)
    create_box = button.bounding_box()
    button.click()
    expect(sender.locator("#link")).to_be_visible()
    burn = sender.locator("summary").bounding_box()
    beside = burn["x"] > create_box["x"] + create_box["width"]
    below = burn["y"] > size["height"]
    assert beside or below, (create_box, burn)


# High contrast


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chosen_expiry_is_seen_in_high_contrast(person, scheme):
    sender = person(color_scheme=scheme, forced_colors="active", reduced_motion="reduce")
    sender.goto("/")
    dot = sender.locator("input[value=hour]")

    def seen():
        sender.evaluate("document.activeElement.blur()")
        return b64encode(dot.screenshot(animations="disabled")).decode()

    sender.check("input[value=day]")
    without = seen()
    sender.check("input[value=hour]")
    assert sender.evaluate(STRIKING, [without, seen()]) > 20


# How many pixels of two pictures differ by more than half of what there is between black
# and white
STRIKING = """async (pictures) => {
    const [one, other] = await Promise.all(pictures.map(async (base64) => {
        const image = new Image();
        image.src = `data:image/png;base64,${base64}`;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return canvas.getImageData(0, 0, image.width, image.height).data;
    }));
    const light = (data, at) => (data[at] + data[at + 1] + data[at + 2]) / 3;
    let count = 0;
    for (let at = 0; at < one.length; at += 4)
        count += Math.abs(light(one, at) - light(other, at)) > 127;
    return count;
}"""
