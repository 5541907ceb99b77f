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
from tickets.connectors.odd_parts import left_out_whole, reasons, without_odd_parts
from tickets.connectors.odd_parts import named as named_record
from tickets.flaws import PROMISE, READ_AFTER
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


def list_of(page: Any, name: str, one: str = "") -> list[Any]:
    """The entries of a page: a list, or what stands under `name`, or a single one under `one`.

    Raises Unusable where the page holds neither.
    """
    if isinstance(page, Mapping):
        if isinstance(page.get(one), Mapping):
            return [page[one]]
        page = page.get(name)
    if not isinstance(page, list):
        raise Unusable({"field": name, "reason": "the page holds no such list"})
    return page


def rows_of(page: Any, name: str, one: str = "") -> list[Record]:
    """The records among the entries of a page, to go on with; `each` names the others.

    Raises Unusable as `list_of` does.
    """
    return [row for row in list_of(page, name, one) if isinstance(row, Mapping)]


def each(
    rows: Iterable[Any], read: Callable[[Record], Told], told: Told, what: str, of: str = ""
) -> None:
    """Take in what each row says, less what is odd of it; one that cannot be told spoils no other.

    The cursor has moved on behind its page, so the others would not come again. `what` is what a
    row is called, `of` its field that names the ticket: a row that cannot be told at all is a flaw
    of that, and a remark.
    """
    refused: dict[tuple[str, str], list[str]] = {}
    for number, row in enumerate(rows, 1):
        name = named_record(what, row, number)
        try:
            told.extend(without_odd_parts(read, mapping_of(row), name))
        except WRONG_SHAPE as error:
            ticket = row.get(of) if of and isinstance(row, Mapping) else None
            if isinstance(ticket, str | int) and not isinstance(ticket, bool) and ticket != "":
                told.tickets.append(left_out_whole(str(ticket), name, error))
                continue
            for one in reasons(error):
                refused.setdefault((one["field"], one["reason"]), []).append(name)
    for (field, reason), (first, *others) in refused.items():
        more = f", and {len(others):,} more alike" if others else ""
        said = f"{reason}; the record was left out{more}"
        told.remarks.append(Remark(f"{first}: {field}".rstrip(": "), said))


def needed(row: Record, name: str) -> str:
    """A value that must be there, as text: ids are larger than some languages' numbers.

    Raises Unusable.
    """
    value = row.get(name)
    if value is None or value == "":
        raise Unusable({"field": name, "reason": "it is missing"})
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Unusable({"field": name, "reason": "it is no word and no whole number"})
    return str(value)


def word(row: Record, name: str) -> str:
    """A word that must be there: what is to be understood is no number. Raises Unusable."""
    value = row.get(name)
    if isinstance(value, str) and value:
        return value
    reason = "it is missing" if value is None else f"{value!r} is no word"
    raise Unusable({"field": name, "reason": reason})


def needed_record(row: Record, name: str) -> Record:
    """A record inside a record that must be there. Raises Unusable."""
    if row.get(name) is None:
        raise Unusable({"field": name, "reason": "it is missing"})
    return record_in(row, name)


def record_in(row: Record, name: str) -> Record:
    """A record inside a record, empty where there is none. Raises Unusable for what is none."""
    value = row.get(name)
    if value is None or isinstance(value, Mapping):
        return value or {}
    raise Unusable({"field": name, "reason": "it is no record"})


def text_of(row: Record, name: str) -> str:
    """A text, empty where there is none. Raises Unusable for what is none."""
    value = row.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise Unusable({"field": name, "reason": "it is no text"})


def plain(row: Record, name: str) -> str:
    """A word or a whole number as text, empty where there is none. Raises Unusable for others."""
    return "" if row.get(name) in (None, "") else needed(row, name)


def is_set(row: Record, name: str) -> bool:
    """Whether a switch is on; one that is not there is off. Raises Unusable for what is neither."""
    value = row.get(name)
    if value is None or value in (0, 1):
        return bool(value)
    raise Unusable({"field": name, "reason": f"{value!r} is neither true nor false"})


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
    """A value inside records inside records; None where one of them is missing.

    Raises Unusable where something else stands in its place.
    """
    value: Any = row
    for name, above in zip(names, ("", *names), strict=False):
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise Unusable({"field": above, "reason": "it is no record"})
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


def promise(source: str, ticket: str, opened: datetime, *, held: bool) -> Event:
    """That the help desk holds a promised time for a ticket, or none.

    Dated as the opening, so that it is told once however often it is read. One that was ever held
    outweighs that there was none: what a help desk shows of a promise may go with its clock.
    """
    key, rank = event_key(source, ticket, PROMISE, held), "9" if held else "8"
    data = {"name": PROMISE, "value": "held" if held else None}
    return Event(key, EventType.OBSERVED, opened, rank, data=data)


# --- dumped records -------------------------------------------------------------------------------


def each_dumped(topic: str, page: Any, read: Callable[[Record], Told]) -> Told:
    """What the records of a dumped stream say, each without the others.

    What cannot be told from it is said once, and names the stream.
    """
    told, stream = Told(), topic.removeprefix(DUMPED)
    each(list_of(page, RECORDS), read, told, stream)
    named = (
        one
        if one.field.startswith(f"{stream} ")
        else Remark(f"{stream}.{one.field}".rstrip("."), one.reason)
        for one in told.remarks
    )
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
