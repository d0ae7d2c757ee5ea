"""These tests need what `tools/test web` gives them, as its head says: a private PostgreSQL
that preloads burn_note, a role that may make databases, and what deploy/web.env asks for.
"""

import pytest

from stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The whole stack by TLS, with nginx's limits only looking on: see stack.py."""
    with Stack(tmp_path_factory.mktemp("stack"), limits=False) as running:
        yield running
