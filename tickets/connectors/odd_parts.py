"""One odd part of a record does not cost the record: it is left out, named, and the rest is told.

`without_odd_parts` is the one rule for every connector. It reads a record as a mapper does; where
that fails, the value the mapper had last asked for is to blame. An entry of a list (a comment, a
change, a user) is left out whole, since a field that is missing from it may mean something; of the
record's own fields the odd one alone is. The rest is read again, until it can be told. What the
record cannot be told without, its id or its opening, makes it unusable as before, and names that.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tickets.canonical import EventType
from tickets.connectors.base import WRONG_SHAPE, Unusable
from tickets.flaws import PROMISE
from tickets.news import LeftOut, TicketNews, Told

type Path = tuple[str | int, ...]

#: The record that tells its ticket whole.
WHOLE = "the ticket"
#: Parts of one record that are left out; where more are odd, the record is not what it should be.
MOST = 50
#: What entries of lists are called by.
_NAMES = ("iid", "id", "sys_id", "number", "key")


def without_odd_parts(read: Callable[[Any], Told], record: Any, name: str) -> Told:
    """What `read` tells of the record, or of as much of it as can be read.

    `name` says which record it is among those that tell of its ticket, the same whenever it comes:
    read again without a part that was odd, it makes good what was said of that (tickets/ingest.py).
    Raises Unusable where nothing of a ticket can be told.
    """
    left_out: list[LeftOut] = []
    try:
        told = read(record)
    except WRONG_SHAPE as error:
        told, left_out = _Salvage(read, record).told(error)
    if not told.tickets:
        return told
    told.tickets[0].record = name
    told.tickets[0].left_out += [_of(name, one) for one in left_out]
    if left_out:
        for news in told.tickets:
            news.events = [event for event in news.events if not _says_absent(event)]
    return told


def left_out_whole(ticket: str, name: str, error: Exception) -> TicketNews:
    """That a record of a ticket could not be told at all."""
    said = [LeftOut(one["field"], one["reason"]) for one in reasons(error)]
    return TicketNews(ticket, record=name, left_out=[_of(name, one) for one in said])


def _of(record: str, part: LeftOut) -> LeftOut:
    """A part by the record it is of, where that is not the ticket itself."""
    if record == WHOLE:
        return part
    return LeftOut(f"{record}: {part.field}".rstrip(": "), part.reason)


def named(what: str, row: Any, number: int) -> str:
    """A record by what it is and its own name, or its number among others where it has none."""
    return f"{what} {_called(row) or f'no. {number}'}"


def reasons(error: Exception) -> list[dict[str, str]]:
    """What is wrong with a record, field and reason, without its words where it names none."""
    if isinstance(error, Unusable):
        return error.errors
    if isinstance(error, KeyError):
        return [{"field": str(error.args[0]), "reason": "it is missing"}]
    return [{"field": "", "reason": f"its shape is not the help desk's ({type(error).__name__})"}]


def _says_absent(event: Any) -> bool:
    """Whether an event says that there is no promise: it may be in what was left out."""
    data = event.data
    absent = data.get("name") == PROMISE and data.get("value") is None
    return event.type is EventType.OBSERVED and absent


class _TooMany(Unusable):
    """So much of a record is odd that the rest would mislead."""


@dataclass(slots=True)
class _Salvage:
    """Reads a record that cannot be read whole."""

    read: Callable[[Any], Told]
    record: Any
    #: What is left out, by its path, with the path that was to blame and why.
    gone: dict[Path, tuple[Path, dict[str, str]]] = field(default_factory=dict)

    def told(self, error: Exception) -> tuple[Told, list[LeftOut]]:
        """What the rest tells, and what was left out."""
        try:
            self._leave_out_what_fails()
        except _TooMany:
            raise
        except Unusable:
            if not self._leave_out_what_was_kept_for_later():
                raise
        self._take_back()
        told = self.read(_plain(self.record, (), self.gone))
        if not told.tickets and self.gone:
            raise self._unusable(*next(iter(self.gone.values()))) from error
        return told, [self._left_out(path, *why) for path, why in self.gone.items()]

    def _leave_out_what_fails(self) -> None:
        """Leave out what was asked for last, until the rest is told. Raises Unusable."""
        for _ in range(MOST):
            trail = _Trail()
            try:
                self.read(_watched(self.record, (), trail, self.gone))
            except RecursionError:
                raise
            except WRONG_SHAPE as error:
                self._leave_out(trail.last, error)
            else:
                return
        reason = f"more than {MOST} parts of it cannot be read, such as this one"
        raise _TooMany({"field": self._written(trail.last), "reason": reason})

    def _leave_out_what_was_kept_for_later(self) -> bool:
        """Leave out something that was asked for earlier, if that is all there is to it."""
        trail = _Trail(deque(maxlen=MOST))
        try:
            self.read(_watched(self.record, (), trail, {}))
        except WRONG_SHAPE as error:
            said = dict(reasons(error)[0])
        else:
            return False
        for path in dict.fromkeys(map(_entry_of, reversed(trail.asked))):
            why = (path, said)
            try:
                told = self.read(_plain(self.record, (), {path: why}))
            except WRONG_SHAPE:
                continue
            if told.tickets:
                self.gone = {path: why}
                return True
        return False

    def _leave_out(self, blamed: Path, error: Exception) -> None:
        """Note what is odd, or what holds it where that is gone. Raises Unusable for the whole."""
        why = self.gone.get(blamed) or self._why(blamed, error)
        path = _entry_of(blamed)
        while path and (path in self.gone or not _stands_at(self.record, path)):
            path = path[:-1]
            why = self.gone.get(path, why)
        if not path:
            raise self._unusable(*why) from error
        self.gone = {one: said for one, said in self.gone.items() if one[: len(path)] != path}
        self.gone[path] = why

    def _why(self, blamed: Path, error: Exception) -> tuple[Path, dict[str, str]]:
        said = dict(reasons(error)[0])
        beside = (*blamed[:-1], said["field"])
        # A reason that names a field beside the last one asked for knows better.
        if blamed and _stands_at(self.record, beside):
            blamed = beside
        return blamed, said

    def _take_back(self) -> None:
        """Keep what can be read after all: something else was to blame."""
        for path in list(self.gone):
            others = {one: why for one, why in self.gone.items() if one != path}
            if not others:
                return
            try:
                self.read(_plain(self.record, (), others))
            except WRONG_SHAPE:
                continue
            self.gone = others

    def _unusable(self, blamed: Path, said: Mapping[str, str]) -> Unusable:
        name = said["field"]
        known = not name or name in blamed
        field = self._written(blamed) if known else name
        return Unusable({"field": field or name, "reason": said["reason"]})

    def _left_out(self, path: Path, blamed: Path, said: Mapping[str, str]) -> LeftOut:
        part, reason = self._written(path), said["reason"]
        inner = self._written(blamed).removeprefix(part).lstrip(".")
        return LeftOut(part, f"{inner}: {reason}" if inner else reason)

    def _written(self, path: Path) -> str:
        """A path as people read it, entries of lists by their own names."""
        written, value = "", self.record
        for step in path:
            value = _value_at(value, (step,))
            if isinstance(step, int):
                written += f"[{_called(value) or f'no. {step + 1}'}]"
            else:
                written += f".{step}" if written else step
        return written[:100]


def _entry_of(path: Path) -> Path:
    """What of a record is left out for a value: the first entry of a list on the way to it.

    A table by numbers, as some help desks have of users, is a list too.
    """
    for length, step in enumerate(path, 1):
        if isinstance(step, int) or step.isdecimal():
            return path[:length]
    return path


def _value_at(value: Any, path: Path) -> Any:
    """What stands in a record at a path; None for nothing."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _stands_at(value: Any, path: Path) -> bool:
    """Whether anything, be it nothing, stands in a record at a path."""
    above = _value_at(value, path[:-1])
    if isinstance(above, list):
        return isinstance(path[-1], int) and path[-1] < len(above)
    return isinstance(above, dict) and path[-1] in above


def _called(row: Any) -> str:
    """A record's own name, where it is one."""
    said = (row.get(name) for name in _NAMES) if isinstance(row, Mapping) else ()
    said = (one.get("value") if isinstance(one, Mapping) else one for one in said)
    names = (one for one in said if isinstance(one, str | int) and not isinstance(one, bool))
    return re.sub(r"[^\w.#/-]", "", str(next(names, "")))[:40]


# --- watching -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Trail:
    """What a mapper asked for."""

    asked: deque[Path] = field(default_factory=lambda: deque(maxlen=1))

    @property
    def last(self) -> Path:
        """What it asked for last."""
        return self.asked[-1] if self.asked else ()


class _Object(dict[str, Any]):
    """An object of a record that notes what is asked of it."""

    def __init__(self, values: Mapping[str, Any], path: Path, trail: _Trail) -> None:
        super().__init__(values)
        self._path, self._trail = path, trail

    def __getitem__(self, name: str) -> Any:
        self._trail.asked.append((*self._path, name))
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict's."""
        self._trail.asked.append((*self._path, name))
        return super().get(name, default)

    def values(self) -> Any:
        """As a dict's, one at a time."""
        return (self[name] for name in self)

    def items(self) -> Any:
        """As a dict's, one at a time."""
        return ((name, self[name]) for name in self)


class _List(list[Any]):
    """A list of a record that notes which entry is looked at."""

    def __init__(self, entries: Mapping[int, Any], path: Path, trail: _Trail) -> None:
        super().__init__(entries.values())
        self._places, self._path, self._trail = list(entries), path, trail

    def __iter__(self) -> Iterator[Any]:
        for place, entry in zip(self._places, super().__iter__(), strict=True):
            self._trail.asked.append((*self._path, place))
            yield entry

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, int) and self:
            self._trail.asked.append((*self._path, self._places[place]))
        return super().__getitem__(place)


def _watched(value: Any, path: Path, trail: _Trail, gone: Mapping[Path, Any]) -> Any:
    """The record without what is left out, noting on the trail what is asked of it."""
    if isinstance(value, dict):
        kept = {
            name: _watched(one, (*path, name), trail, gone)
            for name, one in value.items()
            if (*path, name) not in gone
        }
        return _Object(kept, path, trail)
    if isinstance(value, list):
        entries = {
            place: _watched(one, (*path, place), trail, gone)
            for place, one in enumerate(value)
            if (*path, place) not in gone
        }
        return _List(entries, path, trail)
    return value


def _plain(value: Any, path: Path, gone: Mapping[Path, Any]) -> Any:
    """The record without what is left out."""
    if isinstance(value, dict):
        return {
            name: _plain(one, (*path, name), gone)
            for name, one in value.items()
            if (*path, name) not in gone
        }
    if isinstance(value, list):
        return [
            _plain(one, (*path, place), gone)
            for place, one in enumerate(value)
            if (*path, place) not in gone
        ]
    return value
