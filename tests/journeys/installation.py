"""A whole installation for a journey: a database of its own, web and worker processes, a mailbox.

The processes are the product's, each connected as its own database role; nothing is mocked.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.controller import Controller

from portal.database_urls import URL_VARIABLES
from tests import databases

ROOT = Path(__file__).resolve().parents[2]
#: Of each worker of xdist its own: two files of journeys may run side by side.
NAME = "journey_wellserved" + os.environ.get("PYTEST_XDIST_WORKER", "")


class Postbox:
    """What a real SMTP server took in."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        self.messages.append(
            message_from_bytes(envelope.content, policy=policy.default)  # type: ignore[attr-defined]
        )
        return "250 kept"

    def wait_for(self, count: int, seconds: float = 60) -> list[EmailMessage]:
        """Wait until that many mails have come."""
        wait_until(lambda: len(self.messages) >= count, seconds, f"{count} mails")
        return self.messages


@dataclass
class Installation:
    """A running product."""

    url: str
    postbox: Postbox
    environment: dict[str, str] = field(repr=False)
    urls: dict[str, str] = field(repr=False)

    def manage(self, *arguments: str) -> str:
        """Run a command; return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def set_the_stage(self, *, scene: str = "stage") -> None:
        """Create the cast everyone knows, or what else a scene needs, as the database's owner."""
        subprocess.run(
            [sys.executable, "-m", f"tests.journeys.{scene}"],
            cwd=ROOT,
            env=self.environment | {"DATABASE_ROLE": "owner"},
            check=True,
        )


def wait_until(condition: object, seconds: float, what: str) -> None:
    """Look again every tenth of a second; fail with what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {seconds:.0f} s")


@contextmanager
def running(folder: Path) -> Iterator[Installation]:
    """Set up a database, start web and worker, and take everything down again."""
    urls = {role: databases.url(role, NAME) for role in ("owner", "web", "worker")}
    databases.drop(NAME)
    databases.create(NAME)
    postbox = Postbox()
    smtp = Controller(postbox, hostname="127.0.0.1", port=_free_port())
    smtp.start()
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("DATABASE_ROLE", "MAILBOX_FOLDER")},
        **{URL_VARIABLES[role]: address for role, address in urls.items()},
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DEMO": "1",
        "REQUIRE_MFA": "0",
        "PUBLIC_URL": url,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(smtp.port),
        "WORKER_TICK_SECONDS": "0.5",
    }
    installation = Installation(url, postbox, environment, urls)
    try:
        installation.manage("migrate", "--skip-checks", "-v0")
        with _process(folder / "web.log", environment | {"DATABASE_ROLE": "web"}, _web(port)):
            wait_until(lambda: _answers(url), 30, "the web process")
            with _process(
                folder / "worker.log", environment | {"DATABASE_ROLE": "worker"}, _worker()
            ):
                yield installation
    finally:
        smtp.stop()
        databases.drop(NAME)


def _web(port: int) -> list[str]:
    return ["gunicorn", "portal.wsgi", "--worker-class", "gthread", "--threads", "4",
            "--bind", f"127.0.0.1:{port}", "--log-level", "warning"]  # fmt: skip


def _worker() -> list[str]:
    return ["celery", "-A", "portal.celery", "worker", "--pool", "threads", "--concurrency", "2"]


@contextmanager
def _process(log: Path, environment: dict[str, str], command: list[str]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
            assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()[-3000:]}"
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
