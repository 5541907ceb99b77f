"""Lists in the order of their changes, read so that nothing is missed while they change.

A record that changes while a page is worked on moves to the list's end and pushes another over the
page's border, so page numbers miss records. The window moves on with the last change instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from tickets.connectors.records import Record, moment, needed

#: The window begins this far before the last change seen: some help desks tell whole seconds.
STEP = timedelta(seconds=1)

#: The records of a page, by the window's begin and the page's number from 1; whether more follow.
Ask = Callable[[datetime, int], tuple[Sequence[Record], bool]]


def in_order_of_change(ask: Ask, since: datetime, *, id_name: str = "id") -> Iterator[Record]:
    """Yield every record that changed since an instant, each of its changes seen once.

    `ask` gives the oldest change of its window first. Where more than a page changed within one
    step, pages are numbered and read again until they hold nothing unseen. Raises Unusable.
    """
    seen: set[tuple[str, datetime]] = set()
    number, missed = 1, False
    while True:
        rows, more = ask(since, number)
        instants = [moment(row, "updated_at") for row in rows]
        for row, at in zip(rows, instants, strict=True):
            change = (needed(row, id_name), at)
            if change not in seen:
                seen.add(change)
                missed = missed or at - STEP <= since
                yield row
        # Sorted by an index that lags behind, the last row may show a later change than its place.
        begins = min(instants[-2:], default=since) - STEP
        if more and begins <= since:
            number += 1
        elif number > 1 and missed:
            number, missed = 1, False
        elif more:
            since, number, missed = begins, 1, False
            seen = {change for change in seen if change[1] >= since}
        else:
            return
