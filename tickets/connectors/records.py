"""Reading a vendor's records: values that must be there, instants, and rows one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tickets.connectors.base import Unusable
from tickets.news import Remark, Told

Record = Mapping[str, Any]


def document(raw: bytes) -> Any:
    """The JSON of a delivery. Raises Unusable."""
    try:
        return json.loads(raw)
    except ValueError:
        raise Unusable({"field": "", "reason": "this is no JSON"}) from None


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
    """Take in what each row says; one that cannot be read is a remark and spoils no other."""
    for row in rows:
        try:
            told.extend(read(row))
        except Unusable as unusable:
            told.remarks += [
                Remark(error["field"], f"{error['reason']}; the record was left out")
                for error in unusable.errors
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
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        at = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise Unusable({"field": name, "reason": f"{value!r} is no instant"}) from None
    if at.tzinfo is None:
        raise Unusable({"field": name, "reason": f"{value!r} has no offset from UTC"})
    return at.astimezone(UTC)


def inside(row: Record, *names: str) -> Any:
    """A value inside records inside records; None where one of them is missing."""
    value: Any = row
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def entries(option: Any) -> list[str]:
    """The entries of an option: a list, or text with commas between them."""
    parts = option.split(",") if isinstance(option, str) else option or ()
    return [text for entry in parts if (text := str(entry).strip())]


def texts(option: Any) -> list[str]:
    """The texts of an option: a list, or text with an empty line between them."""
    parts = option.split("\n\n") if isinstance(option, str) else option or ()
    return [text for entry in parts if (text := str(entry).strip())]


def pairs(option: Any) -> dict[str, str]:
    """An option that says something of each of several: a mapping, or `this=that` by commas."""
    if isinstance(option, Mapping):
        return {str(name): str(value) for name, value in option.items()}
    parted = (entry.partition("=") for entry in entries(option))
    return {name.strip(): value.strip() for name, _, value in parted}
