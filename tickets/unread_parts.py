"""What was left out of the records of a ticket: a flaw of it, until the record comes whole. Pure.

The flaw names the record, the part and the reason, and quotes nothing of what stood there: it is
kept in the log, where nobody's words are. Those stand in the outcome of the delivery.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from tickets.canonical import Event, EventType
from tickets.flaws import FLAW, FlawKind
from tickets.news import LeftOut, TicketNews, event_key, version_of

#: What an event says that takes a flaw's place: the part is read now.
MENDED = "mended"
#: Values that a reason quotes.
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


def events(ticket: str, news: Sequence[TicketNews], log: Mapping[int, Event]) -> Iterator[Event]:
    """Flaws that the news of a ticket add to its log, and what takes the place of earlier ones.

    `log` are the events of the ticket with those of the news, by key. Without any nothing is said:
    the ticket is not known yet. An older version of a record makes nothing good that a later one
    lacks.
    """
    if not log or not any(one.record or one.left_out for one in news):
        return
    first = min(event.at for event in log.values())
    told = [(one, {event.key: event for event in _flaws(ticket, one, first)}) for one in news]
    odd = {key: event for _, mine in told for key, event in mine.items()}
    yield from (event for key, event in odd.items() if key not in log)
    stand = {key: event for key, event in log.items() if event.data.get("record")} | odd
    if not stand:
        return
    made_good = {event.data.get("revises") for event in log.values()}
    for key, flaw in stand.items():
        if key not in made_good and any(_makes_good(*one, flaw) for one in told):
            data = {"name": MENDED, "revises": key}
            yield Event(event_key(ticket, MENDED, key), EventType.OBSERVED, flaw.at, data=data)


def _flaws(ticket: str, news: TicketNews, first: datetime) -> Iterator[Event]:
    return (_flaw(ticket, news, part, first) for part in news.left_out)


def _flaw(ticket: str, news: TicketNews, part: LeftOut, first: datetime) -> Event:
    """That a part was left out, dated so that the ticket is neither older nor younger for it."""
    detail = f"{part.field}: {_QUOTED.sub('…', part.reason)}"[:200]
    version = _version(news)
    data = {
        "name": FLAW,
        "value": FlawKind.LEFT_OUT_FIELD.value,
        "detail": detail,
        "record": news.record[:200],
        "version": version,
    }
    key = event_key(ticket, "left out", news.record, version, detail)
    return Event(key, EventType.OBSERVED, first, data=data)


def _version(news: TicketNews) -> str:
    return version_of(news.label_at) if news.label_at else ""


def _makes_good(news: TicketNews, odd: Mapping[int, Event], flaw: Event) -> bool:
    """Whether the news are of the flaw's record, as it was then or later, without that part odd."""
    if not news.record or news.record != flaw.data["record"]:
        return False
    if flaw.key in odd or any(event.key == flaw.key for event in news.events):
        return False  # it is odd still
    return not _version(news) or _version(news) >= flaw.data["version"]
