"""Reading deliveries in a process of its own: what ends a mapper costs nobody but itself.

A payload may make a mapper end its process, eat memory or never return. The process that reads is
started once a thread, holds no database connection, and forks for every batch: a fork that dies
names the delivery it died of, and the rest goes on in the next one.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tickets import meaning
from tickets.reading import CannotRead, Reading, Unread, read_one, trouble

#: Seconds and bytes of address space one delivery may take.
SECONDS = 60
MEMORY = 2 * 1024**3
#: Seconds of work that one text of a delivery may take, and all of them: what takes longer is left
#: out, so that the rest of the delivery is told before its time is over.
TEXT_SECONDS, TEXTS_SECONDS = 5, 30
#: Bytes that what one delivery says may have.
LARGEST = 128 * 1024**2
#: What the process is told of its surroundings: no address of a database, no secret.
_KNOWS = ("PATH", "PYTHON", "LANG", "LC_", "TZ", "MALLOC_")

_LENGTH = struct.Struct("!Q")
_ROOT = Path(__file__).resolve().parent.parent


class Apart:
    """Reads in a process of its own, started at the first batch. Belongs to one thread."""

    def __init__(self, module: str = "tickets.apart") -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        #: How many forks died, for those who count.
        self.deaths = 0

    def __call__(self, batch: Sequence[Unread]) -> list[Reading]:
        """Read deliveries; one that ends its fork is told so, and the next goes on behind it."""
        done: list[Reading] = []
        while len(done) < len(batch):
            told, died = self._ask(batch[len(done) :])
            done += told
            if died:
                self.deaths += 1
                done.append(Reading(None, [trouble(f"reading it {died}")], again=True))
        return done

    def close(self) -> None:
        """End the process."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.wait(timeout=SECONDS + 10)
        self._socket = self._process = None

    def _ask(self, batch: Sequence[Unread]) -> tuple[list[Reading], str]:
        """What one fork read of a batch, and of what it died; empty: it read everything."""
        asked = pickle.dumps(list(batch))
        answer = self._answer(asked) or self._answer(asked)  # ended from outside: once more
        if answer is None:
            raise CannotRead("The process that reads deliveries ends as soon as it is started.")
        parts, died = pickle.loads(answer)  # noqa: S301 - our own process wrote it
        return [pickle.loads(part) for part in parts], died  # noqa: S301 - the same

    def _answer(self, asked: bytes) -> bytes | None:
        """The process's answer; None: it is gone, and another one is started at the next call."""
        connected = self._connected()
        try:
            _send(connected, asked)
            answer = _receive(connected)
        except OSError:
            answer = None
        if answer is None:
            self.close()
        return answer

    def _connected(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair()
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno())],
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name.startswith(_KNOWS)},
            )
            theirs.close()
            self._socket = ours
        return self._socket


_own = threading.local()


def read(batch: Sequence[Unread]) -> list[Reading]:
    """Read deliveries in this thread's own process."""
    if not hasattr(_own, "reader"):
        _own.reader = Apart()
    reader: Apart = _own.reader
    return reader(batch)


def serve(descriptor: int) -> None:
    """Answer batches with what forks read of them, until the other side is gone."""
    connected = socket.socket(fileno=descriptor)
    while (asked := _receive(connected)) is not None:
        _send(connected, pickle.dumps(_fork(asked)))


def _fork(asked: bytes) -> tuple[list[bytes], str]:
    """Read a batch in a fork; return the finished readings, pickled, and of what it died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _read_until_death(asked, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return list(_frames(said)), _cause(os.waitstatus_to_exitcode(status))


def _read_until_death(asked: bytes, writing: int) -> None:
    """In the fork: write every reading as soon as it is made. Never returns."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with os.fdopen(writing, "wb") as pipe:
            for unread in pickle.loads(asked):  # noqa: S301 - our own process wrote it
                signal.alarm(SECONDS)  # the default answer to it is death
                meaning.limit_time(each=TEXT_SECONDS, together=TEXTS_SECONDS)
                part = _fitting(pickle.dumps(read_one(unread)))
                pipe.write(_LENGTH.pack(len(part)) + part)
                pipe.flush()
        code = _DONE
    finally:
        os._exit(code)


#: How a fork ends that read everything: a mapper that exits with nought did not.
_DONE = 77


def _fitting(part: bytes) -> bytes:
    if len(part) <= LARGEST:
        return part
    return pickle.dumps(Reading(None, [trouble(f"says more than {LARGEST // 2**20} MiB")]))


def _frames(said: bytes) -> Iterator[bytes]:
    """Whole frames; what was cut off by death is left out."""
    place = 0
    while place + _LENGTH.size <= len(said):
        (length,) = _LENGTH.unpack_from(said, place)
        place += _LENGTH.size
        if place + length > len(said):
            return
        yield said[place : place + length]
        place += length


def _cause(code: int) -> str:
    if code == _DONE:
        return ""
    if code == -signal.SIGALRM:
        return f"took longer than {SECONDS} seconds"
    if code < 0:
        return f"ended the process ({signal.Signals(-code).name})"
    return f"ended the process (exit {code})"


def _send(connected: socket.socket, content: bytes) -> None:
    connected.sendall(_LENGTH.pack(len(content)) + content)


def _receive(connected: socket.socket) -> bytes | None:
    """The next frame; None: the other side is gone."""
    head = _exactly(connected, _LENGTH.size)
    return None if head is None else _exactly(connected, _LENGTH.unpack(head)[0])


def _exactly(connected: socket.socket, length: int) -> bytes | None:
    content = bytearray()
    while len(content) < length:
        part = connected.recv(min(length - len(content), 1 << 20))
        if not part:
            return None
        content += part
    return bytes(content)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
