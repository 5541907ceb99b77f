"""Runs the Procfile's processes side by side: started together, stopped together.

When one ends by itself the others are stopped, and it is said which one and what it said last. Each
process is given the database URL of its own role and no other.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from portal.database_urls import URL_VARIABLES, database_url

PROCFILE = Path(__file__).resolve().parent.parent / "Procfile"
_LAST_LINES = 20
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Program:
    """One line of the Procfile. `role` is the database role it connects as (`none`: not at all)."""

    name: str
    command: Sequence[str]
    role: str
    environment: Mapping[str, str] = field(default_factory=dict)


def procfile(path: Path = PROCFILE) -> list[Program]:
    """Return the programs of a Procfile: `name: VARIABLE=value … command`."""
    programs = []
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        words = shlex.split(rest)
        first = next(i for i, word in enumerate(words) if "=" not in word)
        assigned = dict(word.split("=", 1) for word in words[:first])
        programs.append(Program(name, words[first:], assigned["DATABASE_ROLE"], assigned))
    return programs


def environment(role: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with the database URL of `role` alone."""
    kept = {name: value for name, value in os.environ.items() if name not in URL_VARIABLES.values()}
    kept["DATABASE_ROLE"] = role
    if role != "none":
        kept[URL_VARIABLES[role]] = database_url(role)
    return kept | dict(extra or {})


def run_together(
    programs: Sequence[Program],
    *,
    say: Callable[[str], object],
    extra: Mapping[str, str] | None = None,
    port: int | None = None,
    welcome: str = "",
) -> int:
    """Run until a signal asks to stop (returns 0) or a program ends by itself (returns 1).

    `say` prints a line; `extra` goes into every program's environment; `welcome` is said once when
    something listens on `port` of this machine.
    """
    if port is not None and _listens(port):
        say(f"Something else listens on port {port} already. Nothing was started.")
        return 1
    with _asked_to_stop() as stop:
        running: list[_Running] = []
        try:
            running.extend(_Running(program, say=say, extra=extra) for program in programs)
            waiting = port
            while not stop.wait(0.2):
                ended = next((one for one in running if one.process.poll() is not None), None)
                if ended is not None:
                    say(ended.epitaph())
                    return 1
                if waiting is not None and _listens(waiting):
                    say(welcome)
                    waiting = None
            return 0
        finally:
            _stop_all(running, say=say)


class _Running:
    """A started program and the last lines it said."""

    def __init__(
        self, program: Program, *, say: Callable[[str], object], extra: Mapping[str, str] | None
    ) -> None:
        self.name = program.name
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        beside = Path(sys.executable).parent / program.command[0]
        command = [str(beside) if beside.exists() else program.command[0], *program.command[1:]]
        self.process = subprocess.Popen(
            command,
            cwd=PROCFILE.parent,
            env=environment(program.role, {**(extra or {}), **program.environment}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
        )
        self.reader = threading.Thread(target=self._read, args=[say], daemon=True)
        self.reader.start()

    def _read(self, say: Callable[[str], object]) -> None:
        output = cast("IO[str]", self.process.stdout)  # asked for as a pipe
        with output:
            for line in output:
                self.last.append(line.rstrip("\n"))
                say(f"{self.name:<7}| {self.last[-1]}")

    def epitaph(self) -> str:
        """Say that it ended, and what it said last."""
        self.reader.join(timeout=2)
        lines = "\n".join(f"    {line}" for line in self.last) or "    (it said nothing)"
        code = self.process.returncode
        return f"{self.name} ended by itself with {code}; the others are stopped. Last:\n{lines}"


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, a hang-up and TERM set, instead of ending this process."""
    stop = threading.Event()
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in asked}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_all(running: Sequence[_Running], *, say: Callable[[str], object]) -> None:
    """Ask every program to finish what it does; end those that do not, with their children."""
    for one in running:
        if one.process.poll() is None:
            one.process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for one in running:
        try:
            one.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{one.name} did not stop within {_STOP_SECONDS} seconds and was ended.")
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()
        one.reader.join(timeout=2)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
