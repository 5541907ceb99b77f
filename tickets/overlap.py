"""Lets PostgreSQL write while we fold: one thread beside ours, on the same connection.

Both halves of a batch take about as long, and one waits while the other works. The transaction
stays one: what is handed over runs in order, and everything is done when the block is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

Do = Callable[..., None]
"""Hands over a function with its arguments; nothing else may use the connection meanwhile."""


@contextmanager
def beside() -> Iterator[Do]:
    """Yield a function that lets a thread do something with our connection.

    Leaving the block waits for everything, and raises the first error of what was handed over.
    """
    # The wrapper itself, not the name that leads each thread to a connection of its own.
    ours = connections[DEFAULT_DB_ALIAS]
    doing: list[Future[None]] = []

    def do(function: Callable[..., None], *arguments: Any) -> None:
        doing.append(thread.submit(function, *arguments))

    def lend() -> None:
        connections[DEFAULT_DB_ALIAS] = ours

    ours.inc_thread_sharing()
    try:
        with ThreadPoolExecutor(1, "writes beside", initializer=lend) as thread:
            yield do
        for one in doing:
            one.result()
    finally:
        ours.dec_thread_sharing()
