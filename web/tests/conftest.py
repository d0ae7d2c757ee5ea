"""These tests need what `tools/test web` gives them, as its head says: a private PostgreSQL
that preloads burn_note, a role that may make databases, and what deploy/web.env asks for.
"""

import getpass

import people
import psycopg
import pytest
from django.db import connection
from pages import Browser
from playwright.sync_api import sync_playwright
from stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The whole stack by TLS, with nginx's limits only looking on: see stack.py."""
    with Stack(tmp_path_factory.mktemp("stack"), limits=False) as running:
        yield running


# module: a running Playwright is an event loop, beside which Django's ORM refuses to work
@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright, stack):
    with people.chromium(playwright, stack) as running:
        yield running


@pytest.fixture
def person(browser, stack):
    """Lets people come. What their browsers complained of fails the test."""
    visiting = people.People(browser, stack)
    yield visiting
    visiting.leave()
    assert visiting.complaints == []


@pytest.fixture(autouse=True)
def static_files_by_their_names(settings):
    """The project's storage wants what collectstatic wrote."""
    backend = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {"staticfiles": {"BACKEND": backend}}


@pytest.fixture
def superuser(django_db_setup):
    """A superuser's own connection to the test database, past Django."""
    options = {"dbname": connection.settings_dict["NAME"], "user": getpass.getuser()}
    with psycopg.connect(**options, autocommit=True) as server:
        yield server


@pytest.fixture
def client():
    return Browser()
