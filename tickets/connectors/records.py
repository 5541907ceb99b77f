"""Reading a vendor's records: values that must be there, instants, and rows one by one.

Pages that are put together are written here too, and what dumped records (tickets/dumps.py) tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tickets.canonical import Event, EventType
from tickets.connectors.base import RECORDS, WRONG_SHAPE, Connector, Unusable
from tickets.flaws import READ_AFTER
from tickets.lens import named
from tickets.meaning import meaning_of
from tickets.news import Remark, Told, event_key
from tickets.storable import decoded, storable

Record = Mapping[str, Any]

#: Topics of dumped records begin with this; the stream follows.
DUMPED = "dumped "


def document(raw: bytes) -> Any:
    """The JSON of a delivery, its texts as they can be kept. Raises Unusable."""
    try:
        return decoded(raw)
    except ValueError:
        raise Unusable({"field": "", "reason": "this is no JSON"}) from None


def compact(body: Record) -> bytes:
    """A page that was put together, the same bytes for the same content."""
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return str(storable(text)).encode()


def flat(data: Record) -> str:
    """An event's content as a part of its key."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False)


def mapping_of(page: Any) -> Record:
    """A page that has to be an object. Raises Unusable."""
    if not isinstance(page, Mapping):
        raise Unusable({"field": "", "reason": "the answer is no object"})
    return page


def rows_of(page: Any, name: str, one: str = "") -> list[Record]:
    """The records of a page: a list, or what stands under `name`, or a single one under `one`.

    Raises Unusable where the page holds neither.
    """
    if isinstance(page, Mapping):
        if isinstance(page.get(one), Mapping):
            return [page[one]]
        page = page.get(name)
    if not isinstance(page, list):
        raise Unusable({"field": name, "reason": "the page holds no such list"})
    return [row for row in page if isinstance(row, Mapping)]


def each(rows: Iterable[Record], read: Callable[[Record], Told], told: Told) -> None:
    """Take in what each row says; one that cannot be read is a remark and spoils no other.

    The cursor has moved on behind its page, so the others would not come again.
    """
    for row in rows:
        try:
            told.extend(read(row))
        except WRONG_SHAPE as error:
            told.remarks += [
                Remark(said["field"], f"{said['reason']}; the record was left out")
                for said in _flaws(error)
            ]


def _flaws(error: Exception) -> list[dict[str, str]]:
    """What is wrong with a record, field and reason, without its words where it names none."""
    if isinstance(error, Unusable):
        return error.errors
    field = str(error.args[0]) if isinstance(error, KeyError) else ""
    return [
        {"field": field, "reason": f"its shape is not the help desk's ({type(error).__name__})"}
    ]


def needed(row: Record, name: str) -> str:
    """A value that must be there, as text: ids are larger than some languages' numbers.

    Raises Unusable.
    """
    value = row.get(name)
    if value is None or value == "":
        raise Unusable({"field": name, "reason": "it is missing"})
    return str(value)


def moment(row: Record, name: str) -> datetime:
    """An instant: RFC 3339 with its offset, or seconds since 1970. Raises Unusable."""
    at = moment_or_none(row, name)
    if at is None:
        raise Unusable({"field": name, "reason": "the instant is missing"})
    return at


def moment_or_none(row: Record, name: str) -> datetime | None:
    """An instant, or None where none is given. Raises Unusable for what is none."""
    value = row.get(name)
    return None if value is None or value == "" else instant(value, name)


def instant(value: Any, name: str) -> datetime:
    """The instant that a value says. Raises Unusable naming the field."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        at = datetime.fromisoformat(str(value).replace(" UTC", "+00:00"))
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise Unusable({"field": name, "reason": f"{value!r} is no instant"}) from None
    raise Unusable({"field": name, "reason": f"{value!r} has no offset from UTC"})


def inside(row: Record, *names: str) -> Any:
    """A value inside records inside records; None where one of them is missing."""
    value: Any = row
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def called(identity: object, name: str | None) -> str:
    """A word by its number and name, or by its number alone where nobody told the name."""
    return named(identity, name) if name else str(identity)


def entries(option: Any) -> list[str]:
    """The entries of an option: a list, or text with commas between them."""
    parts = option.split(",") if isinstance(option, str) else option or ()
    return [text for entry in parts if (text := str(entry).strip())]


def texts(option: Any) -> list[str]:
    """The texts of an option: a list, or text with an empty line between them."""
    # Pages send line breaks as two characters.
    parts = option.replace("\r", "").split("\n\n") if isinstance(option, str) else option or ()
    return [text for entry in parts if (text := str(entry).strip())]


def helped(text: str, options: Record, attachments: int = 0) -> str:
    """Whether a public reply helped, by its words and those of `options` that help nobody."""
    templates = texts(options.get("acknowledgements"))
    return meaning_of(text, templates=templates, attachments=attachments).value


def pairs(option: Any) -> dict[str, str]:
    """An option that says something of each of several: a mapping, or `this=that` by commas."""
    if isinstance(option, Mapping):
        return {str(name): str(value) for name, value in option.items()}
    parted = (entry.partition("=") for entry in entries(option))
    return {name.strip(): value.strip() for name, _, value in parted}


def read_after(ticket: str, at: datetime, before: datetime | None) -> list[Event]:
    """What a snapshot changed happened after everything was read `before`, told beside it.

    Less what a list may lag behind. One whose instant was read before has been seen already, so
    this reading says nothing of when it changed.
    """
    if before is None or before >= at:
        return []
    return [changed_after(ticket, at, before - Connector.overlap)]


def changed_after(ticket: str, at: datetime, before: datetime) -> Event:
    """That a ticket which stands so at an instant stood otherwise until `before` at least."""
    key = event_key(ticket, READ_AFTER, at.isoformat(), before.isoformat())
    data = {"name": READ_AFTER, "value": before.isoformat()}
    return Event(key, EventType.OBSERVED, at, data=data)


# --- dumped records -------------------------------------------------------------------------------


def each_dumped(topic: str, page: Any, read: Callable[[Record], Told]) -> Told:
    """What the records of a dumped stream say, each without the others.

    What cannot be told from it is said once, and names the stream.
    """
    told, stream = Told(), topic.removeprefix(DUMPED)
    each(rows_of(page, RECORDS), read, told)
    named = (Remark(f"{stream}.{one.field}".rstrip("."), one.reason) for one in told.remarks)
    told.remarks = list(dict.fromkeys(named))
    return told


def opening(source: str, ticket: str, at: datetime) -> Event:
    """That a ticket was opened, where nothing else is known of it.

    Behind the opening that a page tells, which is then the one that stands (tickets/versions.py).
    """
    return Event(event_key(source, ticket, "opened"), EventType.CREATED, at, "0z")


def stood(
    source: str, ticket: str, *, state: str, since: datetime | None, at: datetime, data: Record
) -> list[Event]:
    """How a ticket stands at its last change, as a dumped record says; its state `since` before.

    None: the record does not say since when, and it may have been so before its last change.
    What nobody tells of its past held from the start (tickets/versions.py), except for the state.
    All of it is told behind what a history says of that instant, which knows who did it.
    """
    begins = min(since or at, at)
    dated = {} if since is None else {"dated": True}
    said: list[tuple[datetime, str, Record, Record]] = [
        (begins, "7", data, {}),
        (begins, "8", {"state_said": state}, dated),
    ]
    if at > begins:
        said.append((at, "7", data, {}))
    return [
        Event(
            event_key(source, ticket, "stood", when.isoformat(), flat(words)),
            EventType.SNAPSHOT,
            when,
            sequence,
            data={**words, **also},
        )
        for when, sequence, words, also in said
    ]
