"""Processes that run together: each with its own role, stopped together, the dead one named."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from portal.database_urls import URL_VARIABLES, DatabaseNotNamed, database_url
from portal.processes import Program, environment, procfile, run_together


@pytest.fixture(autouse=True)
def named_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every role's URL stands in the environment, as in production."""
    for role, variable in URL_VARIABLES.items():
        monkeypatch.setenv(variable, f"postgres://{role}@127.0.0.1:1/none")


LISTENER = """
import socket, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
time.sleep(60)
"""


def python(name: str, program: str) -> Program:
    return Program(name, [sys.executable, "-c", program], "none")


def test_a_process_gets_the_database_of_its_own_role_and_no_other() -> None:
    given = environment("worker")
    assert given["DATABASE_ROLE"] == "worker"
    assert {name for name in given if name in URL_VARIABLES.values()} == {"DATABASE_WORKER_URL"}


def test_a_role_whose_database_is_not_named_is_refused_not_given_the_embedded_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert database_url("worker").startswith("postgres://worker@")
    monkeypatch.delenv("DATABASE_WORKER_URL")
    with pytest.raises(DatabaseNotNamed, match="DATABASE_WORKER_URL"):
        database_url("worker")


def test_the_procfile_names_web_and_worker_with_their_roles() -> None:
    assert {program.name: program.role for program in procfile()} == {
        "web": "web",
        "worker": "worker",
    }
    assert all(program.command[0] in {"gunicorn", "celery"} for program in procfile())


def test_when_one_ends_it_is_named_and_the_others_are_stopped(tmp_path: Path) -> None:
    said: list[str] = []
    stopped = tmp_path / "stopped"
    steady = (
        "import signal, sys, time, pathlib\n"
        f"def stop(*_): pathlib.Path({str(stopped)!r}).touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    brief = "import time; time.sleep(1); print('out of paper', flush=True); raise SystemExit(3)"
    code = run_together([python("steady", steady), python("brief", brief)], say=said.append)
    assert code == 1
    assert any("brief ended by itself with 3" in line and "out of paper" in line for line in said)
    assert not any("steady ended" in line for line in said)
    assert stopped.exists()


def test_a_request_to_stop_stops_every_process_and_is_no_failure() -> None:
    said: list[str] = []
    asking = threading.Timer(1.5, os.kill, [os.getpid(), signal.SIGINT])
    asking.start()
    began = time.monotonic()
    code = run_together(
        [
            python("one", "import time; time.sleep(60)"),
            python("two", "import time; time.sleep(60)"),
        ],
        say=said.append,
    )
    asking.join()
    assert code == 0
    assert time.monotonic() - began < 30
    assert not any("ended by itself" in line for line in said)


def test_an_occupied_port_is_said_before_anything_starts() -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            LISTENER,
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        try:
            assert other.stdout is not None
            said: list[str] = []
            port = int(other.stdout.readline())
            assert run_together([python("one", "")], say=said.append, port=port) == 1
            assert "Nothing was started" in said[0]
        finally:
            other.kill()


#: Eight threads hold 30 MB in turn, in arrays that the allocator takes from its arenas.
_IN_TURN = """
import re, threading
import numpy as np
turn = threading.Lock()
def hold():
    with turn:
        held = [np.ones(2**18) for _ in range(15)]
        del held
threads = [threading.Thread(target=hold) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator has no arenas")
def test_what_one_thread_gave_back_the_next_one_takes() -> None:
    """Else every thread of a web process keeps what it once held: one turn would bound nothing."""
    [web] = [one for one in procfile() if one.name == "web"]

    def most_megabytes(variables: Mapping[str, str]) -> float:
        said = subprocess.check_output(
            [sys.executable, "-c", _IN_TURN], env={"PATH": os.environ["PATH"], **variables}
        )
        return int(said) / 1024

    allocator = {k: v for k, v in web.environment.items() if k.startswith("MALLOC_")}
    without = {k: v for k, v in allocator.items() if k != "MALLOC_ARENA_MAX"}
    assert most_megabytes(allocator) < 110
    assert most_megabytes(without) > 200  # the negative control
