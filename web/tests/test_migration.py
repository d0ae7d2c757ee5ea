"""The migration, as a database owner who is no superuser, on databases of its own."""

import getpass
import os
import subprocess
import sys

import psycopg
import pytest
from psycopg import sql
from stack import WEB

OWNER = "burn_note_tests"
OBJECTS = """
    SELECT array(SELECT extname FROM pg_extension WHERE extname ~ 'burn_note|pgcrypto' ORDER BY 1),
        to_regclass('burn_note_announcement') IS NOT NULL
"""


def as_superuser(database):
    return psycopg.connect(dbname=database, user=getpass.getuser(), autocommit=True)


@pytest.fixture
def database(request):
    """A new one, which the tests' role owns."""
    name = "burn_note_migration"
    with as_superuser("postgres") as server:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} (FORCE)").format(sql.Identifier(name))
        server.execute(drop)
        server.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                sql.Identifier(name), sql.Identifier(OWNER)
            )
        )
        yield name
        server.execute(drop)


def manage(database, *arguments):
    environment = os.environ | {"PGDATABASE": database, "PGUSER": OWNER}
    environment |= {"DJANGO_SETTINGS_MODULE": "project.settings"}
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=WEB,
        env=environment,
        capture_output=True,
        text=True,
    )


def found(database):
    with as_superuser(database) as server:
        return server.execute(OBJECTS).fetchone()


@pytest.mark.django_db
def test_the_tests_own_database_was_made_by_it_and_by_no_superuser(superuser):
    (is_superuser,) = superuser.execute(
        "SELECT rolsuper FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba"
        " WHERE datname = current_database()"
    ).fetchone()
    assert is_superuser is False
    assert superuser.execute(OBJECTS).fetchone() == (["burn_note", "pgcrypto"], True)


def test_an_owner_who_is_no_superuser_migrates_and_undoes_it(database):
    assert manage(database, "migrate").returncode == 0
    assert found(database) == (["burn_note", "pgcrypto"], True)
    assert manage(database, "migrate").returncode == 0
    undone = manage(database, "migrate", "burn_note", "zero")
    assert undone.returncode == 0, undone.stderr
    # pgcrypto may be somebody else's too
    assert found(database) == (["pgcrypto"], False)
    assert manage(database, "migrate").returncode == 0
    assert found(database) == (["burn_note", "pgcrypto"], True)


def test_it_works_where_a_dba_made_the_extensions_before(database):
    with as_superuser(database) as server:
        server.execute("CREATE SCHEMA notes")
        server.execute("CREATE EXTENSION burn_note SCHEMA notes CASCADE")
        server.execute(f"GRANT USAGE ON SCHEMA notes TO {OWNER}")
        server.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA notes TO {OWNER}")
        server.execute(f"ALTER DATABASE {database} SET search_path = notes, public")
        server.execute(f"ALTER SCHEMA notes OWNER TO {OWNER}")
    migrated = manage(database, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    program = "from burn_note import notes; assert notes.read(notes.create('x')) == 'x'"
    used = manage(database, "shell", "-c", program)
    assert used.returncode == 0, used.stderr


def test_undoing_it_destroys_nothing_of_a_dbas(database):
    with as_superuser(database) as server:
        server.execute("CREATE EXTENSION burn_note CASCADE")
    assert manage(database, "migrate").returncode == 0
    undone = manage(database, "migrate", "burn_note", "zero")
    assert "must be owner of extension burn_note" in undone.stderr
    assert found(database) == (["burn_note", "pgcrypto"], True)


def test_the_models_need_no_other_migration(database):
    checked = manage(database, "makemigrations", "--check", "--dry-run")
    assert checked.returncode == 0, checked.stdout
