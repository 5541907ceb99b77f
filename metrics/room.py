"""Room in memory for readings: any number of small ones at a time in a process, one large one.

What one reading may hold is bounded (`packing.MOST_BYTES`); a process has many threads. A reading
that comes to hold more than SMALL_BYTES therefore takes the process's one turn first, before what
makes it large is fetched, and has it until the outermost acting context of its thread is left, as a
request and a command leave it however they end. Whoever has the turn asks for no other, so readings
do not wait for each other in a ring; nor for ever where a lock of the database is part of it, since
waiting for the turn has an end.
"""

from __future__ import annotations

from threading import Lock, get_ident

from portal.errors import Busy
from portal.tenancy.context import on_leaving

#: A reading that holds at most this much, rows and what is cut from them together, is small: some
#: 250,000 rows of facts.
SMALL_BYTES = 32 * 2**20
#: Seconds a large reading waits for another: PostgreSQL ends a transaction of the web role that
#: asks nothing for 30 (portal/settings.py).
PATIENCE_S = 20.0


class AnotherIsRead(Busy):
    """Another large reading went on for longer than one waits."""

    def __init__(self) -> None:
        super().__init__(
            "Another large question is being answered, and one at a time is held in memory. Try"
            " again in half a minute, or ask for a shorter period or for one service.",
            wait=30,
        )


class Turn:
    """The right to hold much, of one thread at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._holder: int | None = None

    @property
    def mine(self) -> bool:
        """Whether this thread has it."""
        return self._holder == get_ident()

    def take(self) -> None:
        """Have it until the acting context is left. Raises AnotherIsRead, NoActingTenant."""
        if self.mine:
            return
        if not self._lock.acquire(timeout=PATIENCE_S):
            raise AnotherIsRead
        self._holder = get_ident()
        try:
            on_leaving(self._give_back)
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        self._holder = None
        self._lock.release()


TURN = Turn()


def make_room(nbytes: int) -> None:
    """Take the turn where a reading comes to hold this much. Raises as `Turn.take`."""
    if nbytes > SMALL_BYTES:
        TURN.take()
