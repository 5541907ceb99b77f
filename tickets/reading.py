"""Reading deliveries: what a connector's mapper says, what is believed of it, what went wrong.

Pure: bytes in, `Told` or errors out. tickets/apart.py does the same in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tickets.connectors import connector_of
from tickets.connectors.base import Context, Unusable
from tickets.keepable import keepable
from tickets.news import Remark, Told
from tickets.storable import is_suspect, storable

#: The topic of a dead letter that says a ticket could not be fetched; told again, it is asked for.
NOT_FETCHED = "not fetched"
#: Tickets that one unsigned webhook may ask to be fetched.
HINTS = 100


@dataclass(frozen=True, slots=True)
class Unread:
    """A delivery with everything its mapper may know."""

    kind: str
    topic: str
    raw: bytes
    context: Context


@dataclass(frozen=True, slots=True)
class Reading:
    """What a delivery says, or why it cannot be told; `again`: another try may do better."""

    told: Told | None
    errors: list[dict[str, str]] = field(default_factory=list)
    again: bool = False


class CannotRead(RuntimeError):
    """No delivery can be read now, whatever it holds: the installation is at fault."""


Reader = Callable[[Sequence[Unread]], list[Reading]]


def read(batch: Sequence[Unread]) -> list[Reading]:
    """Read deliveries in this process."""
    return [read_one(unread) for unread in batch]


def read_one(unread: Unread) -> Reading:
    """Read a delivery; whatever its mapper raises is its own trouble."""
    try:
        told = _told(unread)
        if is_suspect(unread.raw):
            told = storable(told)
        context = unread.context
        told = keepable(told, received_at=context.received_at, capabilities=context.capabilities)
    except Unusable as unusable:
        return Reading(None, unusable.errors)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return Reading(None, [trouble("it is not JSON, or deeper than anybody means")])
    except Exception as error:  # nobody thought of what it holds  # noqa: BLE001
        return Reading(None, [trouble(f"could not be read: {where(error)}")], again=True)
    believed = _believed(told, unread)
    if believed.told is not None:
        _ask_for_tickets(believed.told, unread.kind)
    return believed


def _told(unread: Unread) -> Told:
    if unread.topic == NOT_FETCHED:
        return Told(fetch=[str(json.loads(unread.raw)["ticket"])])
    return connector_of(unread.kind).tell(unread.topic, unread.raw, unread.context)


def _ask_for_tickets(told: Told, kind: str) -> None:
    """Leave out of what is to be fetched what no ticket there can be called."""
    known = connector_of(kind).ticket_id
    for name in [one for one in told.fetch if not known.fullmatch(one)]:
        told.fetch.remove(name)
        told.remarks.append(Remark("ticket", f"{name[:60]!r} is no id of a ticket: not asked for"))


def _believed(told: Told, unread: Unread) -> Reading:
    """All of it where it is known who said it; else only what is to be asked for.

    Whoever knows an unsigned address can send anything: what they say becomes a question to the
    help desk, whatever the connector made of it (INGEST.md 2, TRUST.md T16).
    """
    if unread.context.signed:
        return Reading(told)
    if not connector_of(unread.kind).pulls:
        return Reading(
            None, [trouble("nothing signs it, and its source cannot be asked: set a secret")]
        )
    named = [*told.fetch, *(one.external_id for one in told.tickets)]
    named += [one.ticket for one in told.ratings]
    asked = list(dict.fromkeys(named))
    remarks = list(told.remarks)
    if len(asked) > HINTS:
        reason = f"names {len(asked)} tickets; {HINTS} of them are asked for"
        remarks.insert(0, Remark("", reason))
    return Reading(Told(fetch=asked[:HINTS], remarks=remarks))


def where(error: BaseException) -> str:
    """What failed and where, without the words of the failure: they may quote the delivery."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return type(error).__name__
    path = Path(last.tb_frame.f_code.co_filename)
    return f"{type(error).__name__} in {path.name}, line {last.tb_lineno}"


def trouble(reason: str) -> dict[str, str]:
    """An error of a delivery as a whole."""
    return {"field": "", "reason": reason}
