"""The product's web processes under load over HTTP, and how much memory a process ever took."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS = 2


def most_megabytes(pid: int | str = "self") -> float:
    """The most memory a process ever held (VmHWM); it is not inherited over exec."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, status
    return int(found[1]) / 1024


def url_of(role: str, database: str) -> str:
    """The embedded PostgreSQL's URL of a role, for another database of it."""
    from portal import embedded

    return urlunsplit(urlsplit(embedded.urls()[role])._replace(path=f"/{database}"))


class Refused(RuntimeError):
    """What was asked for was not answered: the status, and what was said instead."""


@dataclass(frozen=True, slots=True)
class Web:
    """A running gunicorn with the Procfile's settings."""

    address: str
    process: subprocess.Popen[bytes]

    def get(self, path: str, **more: Any) -> tuple[float, int]:
        """Seconds until the whole body was there, and its bytes on the way.

        Raises Refused unless it is a 200.
        """
        began = time.perf_counter()
        answer = requests.get(self.address + path, timeout=60, allow_redirects=False, **more)
        took = time.perf_counter() - began
        if answer.status_code != 200:
            raise Refused(answer.status_code, f"{path} answered {answer.text[:300]}")
        return took, int(answer.headers.get("Content-Length", len(answer.content)))

    def most_megabytes(self) -> float:
        """The most memory that any of its workers ever held."""
        return max(most_megabytes(child) for child in _children(self.process.pid))


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextmanager
def web(database: str) -> Iterator[Web]:
    """Gunicorn on a free port, as the web role on a database of the embedded PostgreSQL."""
    from portal.processes import procfile

    [program] = [one for one in procfile() if one.name == "web"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("DATABASE_")},
        **program.environment,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": url_of("web", database),
        "DEMO": "1",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "LOG_LEVEL": "WARNING",
    }
    command = [str(Path(sys.executable).parent / program.command[0]), *program.command[1:]]
    process = subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "--log-level", "warning"],
        cwd=ROOT,
        env=environment,
    )
    try:
        _wait(port, process)
        yield Web(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"gunicorn ended with {process.returncode}")
        with socket.socket() as probe:
            # It listens before it has its workers.
            if (
                probe.connect_ex(("127.0.0.1", port)) == 0
                and len(_children(process.pid)) == WORKERS
            ):
                return
        time.sleep(0.1)
    raise RuntimeError("gunicorn did not listen within a minute")


def worker_megabytes(database: str, tenant: int) -> float:
    """The most memory of a worker that packs every block of an organisation anew."""
    code = (
        "import django; django.setup()\n"
        "from metrics.columns import refresh\n"
        "from portal.tenancy.models import Organisation\n"
        f"while refresh(Organisation.objects.get(pk={tenant})): pass\n"
        "from bench.reading.processes import most_megabytes\n"
        "print(most_megabytes())"
    )
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("DATABASE_")},
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_ROLE": "worker",
        "DATABASE_WORKER_URL": url_of("worker", database),
        "DEMO": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    return float(done.stdout.split()[-1])


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
