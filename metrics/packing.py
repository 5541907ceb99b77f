"""How facts lie in blocks: a fixed number of bits a column, packed by SQL and unpacked by numpy.

A row is a handful of 64-bit words, the last one cut to the bytes it needs. Every column has a slot
of `bits` in one of them, which holds its `code`: a number that is small for what is common (seconds
after the row's own instant, the place of a word in a list). A code that does not fit leaves its
slot full of ones and follows, row by row and in the order of the columns, in a stream beside the
rows: nothing is cut off or rounded, however few bits a column has. Rows of a block are sorted by
capability; which rows are whose stands in its slices, so a capability is read without the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain
from math import ceil
from typing import Any

import numpy as np
from django.core.exceptions import BadRequest
from numpy.typing import NDArray

from metrics.rows import Rows
from tickets import segments as segmenting

Numbers = NDArray[np.int64]

NONE_S = -1
"""A duration that is not there."""
UNKNOWN = -1
"""A yes or no that nobody said."""
NO_SCORE = -1
"""No scale goes below nought."""

#: The source of the dating instant where it is no field of its own.
DATED = "@at"
#: The source of a column that is made of several fields: the row itself.
WHOLE = "@row"
#: `alias.field` in a column's SQL.
_FIELD = re.compile(r"\b[a-z]\.[a-z_]+")
#: Instants outside 1970 to 2106 are held at that edge.
LAST_INSTANT = 2**32 - 1
#: The longest duration that is held in milliseconds: 24 days.
LONGEST_MS = 2**31 - 1

WORD = 64
#: A code that does not fit its slot takes this many bytes of the stream, about a zero of its own.
FAR_BYTES = 5
_FAR_ZERO = 2 ** (8 * FAR_BYTES - 1)

#: Where a capability's part of a block ends: the row times this, plus the byte of the stream.
ENDS = 2**32

#: Rows of a kind that are held at once take at most this much memory; four million or so.
MOST_BYTES = 384 * 2**20
#: Rows that are unpacked together.
ROWS_AT_ONCE = 2**15


def _same(codes: Numbers, at: Numbers) -> Numbers:
    return codes


@dataclass(frozen=True, slots=True)
class Column:
    """A column: where it comes from, and how it is written."""

    name: str
    #: `alias.field` of the kind's FROM clause, or SQL of several (`of_row`).
    source: str
    #: As it is evaluated: wide enough to be added and subtracted.
    dtype: str
    #: Width of its slot in a block; a larger code follows in the stream.
    bits: int
    #: SQL of its code, a bigint. Of an instant: of its epoch second, null where there is none; what
    #: dates the row is the kind's own SQL.
    code: str
    from_row: Callable[[Any], int]
    #: From codes, and the instants of their rows, to values.
    value: Callable[[Numbers, Numbers], Numbers] = _same
    #: Not packed into blocks, because nobody asks for it of a period; reading it there is an error.
    in_blocks: bool = True
    #: Its slot is wide enough for every code there is: none follows in the stream.
    closed: bool = False
    #: UTC epoch seconds: something that is still to come, or has come, at the moment of a reading.
    is_instant: bool = False
    #: What the source is in a row folded in memory, where it is made of several fields.
    of_row: Callable[[Mapping[str, Any]], Any] | None = None

    def read(self, row: Mapping[str, Any]) -> int:
        """Its value in a row folded in memory, by `alias.field`."""
        if self.source == WHOLE:
            return self.from_row(row)
        return self.from_row(self.of_row(row) if self.of_row else row[self.source])


def _epoch(sql: str) -> str:
    return f"least(greatest(floor(date_part('epoch', {sql})), 1), {LAST_INSTANT})::bigint"


def _epoch_of(value: datetime | None) -> int:
    return min(max(int(value.timestamp() // 1), 1), LAST_INSTANT) if value else 0


def dating(source: str = DATED) -> Column:
    """The instant that dates a row, UTC epoch seconds. In a block: seconds after midnight."""
    return Column("at", source, "i8", 17, "", _epoch_of, is_instant=True)


def instant(name: str, source: str, bits: int = 22, *, in_blocks: bool = True) -> Column:
    """UTC epoch seconds; 0 where there is none. In a block: seconds after the row's instant."""
    return Column(
        name,
        source,
        "i8",
        bits,
        f"CASE WHEN {source} IS NOT NULL THEN {_epoch(source)} END",
        _epoch_of,
        lambda codes, at: np.where(codes == 0, 0, codes + at - 1),
        in_blocks,
        is_instant=True,
    )


def seconds(name: str, source: str, bits: int = 18, *, in_steps_of: int = 1) -> Column:
    """A duration in seconds; NONE_S where there is none.

    A promise is a round number: `in_steps_of` 900 seconds it takes few bits, and exact it stays.
    """
    code = f"coalesce({source}, {NONE_S})::bigint + 1"
    if in_steps_of > 1:
        code = (
            f"CASE WHEN {source} IS NULL THEN 0 WHEN mod({source}, {in_steps_of}) = 0"
            f" THEN {source} / {in_steps_of} + 1 ELSE -{source}::bigint - 1 END"
        )

    def value(codes: Numbers, at: Numbers) -> Numbers:
        told = np.where(codes < 0, -codes - 1, (codes - 1) * in_steps_of)
        return np.where(codes == 0, NONE_S, told)

    return Column(
        name,
        source,
        "i4",
        bits,
        code,
        lambda found: NONE_S if found is None else int(found),
        value if in_steps_of > 1 else _above(NONE_S),
    )


def seconds_of(
    name: str, sql: str, of_row: Callable[[Mapping[str, Any]], int | None], bits: int
) -> Column:
    """A duration in seconds that is made of several fields; NONE_S where it is null."""

    def from_row(row: Mapping[str, Any]) -> int:
        told = of_row(row)
        return NONE_S if told is None else told

    code = f"coalesce({sql}, {NONE_S})::bigint + 1"
    return Column(name, WHOLE, "i4", bits, code, from_row, _above(NONE_S))


def elapsed_sql(later: str, earlier: str) -> str:
    """Elapsed seconds between two instants, as `elapsed` tells them; null where one is null."""
    return f"(floor(date_part('epoch', {later})) - floor(date_part('epoch', {earlier})))"


def elapsed(later: datetime, earlier: datetime) -> int:
    """Elapsed seconds between the seconds in which two instants lie."""
    return int(later.timestamp() // 1) - int(earlier.timestamp() // 1)


def number(
    name: str,
    source: str,
    bits: int,
    *,
    missing: int = 0,
    most: int | None = None,
    wide: bool = False,
) -> Column:
    """A whole number, `missing` where there is none, held at `most`."""
    held = f"coalesce({source}, {missing})"
    capped = held if most is None else f"least({held}, {most})"

    def from_row(found: Any) -> int:
        told = missing if found is None else int(found)
        return told if most is None else min(told, most)

    return Column(
        name,
        source,
        "i8" if wide else "i2",
        bits,
        f"{capped}::bigint - ({missing})",
        from_row,
        _above(missing),
    )


def identity(name: str, source: str, bits: int = 27) -> Column:
    """A database id; 0 where there is none."""
    return number(name, source, bits, wide=True)


def capability(source: str) -> Column:
    """The id of a capability; 0 where there is none. A block's slices say whose rows are whose."""
    return number("capability", source, 0, wide=True)


def flag(name: str, source: str) -> Column:
    """1, 0, or UNKNOWN for null."""
    return Column(
        name,
        source,
        "i2",
        2,
        f"coalesce({source}::integer, {UNKNOWN})::bigint + 1",
        lambda found: UNKNOWN if found is None else int(bool(found)),
        _above(UNKNOWN),
        closed=True,
    )


def code(name: str, source: str, words: Sequence[str], *, in_blocks: bool = True) -> Column:
    """The place of a word in a list, from 1; 0 for a word that is empty or not there."""
    listed = " ".join(f"WHEN '{word}' THEN {place}" for place, word in enumerate(words, start=1))
    return Column(
        name,
        source,
        "i2",
        len(words).bit_length(),
        f"CASE {source} {listed} ELSE 0 END::bigint",
        lambda found: words.index(str(found)) + 1 if found else 0,
        in_blocks=in_blocks,
        closed=True,
    )


def byte(name: str, source: str, sql: str, from_row: Callable[[Any], int], bits: int = 8) -> Column:
    """A whole number from 0 to 255."""
    return Column(name, source, "i2", bits, f"({sql})::bigint", from_row)


def few(name: str, source: str, bits: int = 3) -> Column:
    """A count; from 255 on it is 255."""
    sql = f"least(coalesce({source}, 0), 255)"
    return byte(name, source, sql, lambda value: min(int(value or 0), 255), bits)


def segments(packed: str, handled_by: str) -> Column:
    """Who somebody was to us, and who handled it, as one number (tickets/segments.py)."""
    words = segmenting.DIMENSIONS["handled_by"]
    listed = " ".join(f"WHEN '{word}' THEN {place}" for place, word in enumerate(words))
    weight = segmenting.WEIGHTS["handled_by"]
    return byte(
        "segments",
        WHOLE,
        f"coalesce({packed}, 0) + {weight} * (CASE {handled_by} {listed} END)",
        lambda row: (row[packed] or 0) + weight * words.index(row[handled_by]),
    )


#: Tenths of a target that are told apart; anything beyond is as late.
MOST_TENTHS = 100


def tenths(clock: str, target: str) -> Column:
    """1 and how many tenths of the target a clock has begun; 0 without a target.

    11 is the last tenth in which the target is kept, more is too late.
    """
    return byte(
        "tenths",
        WHOLE,
        f"CASE WHEN {target} > 0 THEN 1 + least((10::bigint * {clock} + {target} - 1) / {target},"
        f" {MOST_TENTHS}) ELSE 0 END",
        lambda row: (
            1 + min((10 * row[clock] + row[target] - 1) // row[target], MOST_TENTHS)
            if row[target]
            else 0
        ),
        5,
    )


def days_until(name: str, later: str, since: str) -> Column:
    """Days that have begun between two instants, 1 to 255; 0 where the later one is not there."""
    return byte(
        name,
        WHOLE,
        f"CASE WHEN {later} IS NULL THEN 0 ELSE"
        f" least(greatest(ceil(date_part('epoch', {later} - {since}) / 86400), 1), 255) END",
        lambda row: (
            min(max(ceil((row[later] - row[since]).total_seconds() / 86_400), 1), 255)
            if row[later]
            else 0
        ),
        1,
    )


def _above(lowest: int) -> Callable[[Numbers, Numbers], Numbers]:
    return lambda codes, at: codes + lowest


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a column lies: in which word, how many bits from its low end."""

    column: Column
    word: int
    shift: int

    @property
    def full(self) -> int:
        """What a slot holds whose code follows in the stream."""
        return int(2**self.column.bits - 1)


@dataclass(frozen=True)
class Layout:
    """Rows as they are packed: the slots of some columns, and how they are written and read."""

    columns: tuple[Column, ...]

    @cached_property
    def slots(self) -> tuple[_Slot, ...]:
        """Wide columns first, each in the first word that has room for it."""
        room: list[int] = []
        places = {}
        for column in sorted(self._packed, key=lambda one: -one.bits):
            word = next((n for n, free in enumerate(room) if free >= column.bits), len(room))
            if word == len(room):
                room.append(WORD)
            places[column.name] = word, WORD - room[word]
            room[word] -= column.bits
        return tuple(_Slot(column, *places[column.name]) for column in self._packed)

    @property
    def _packed(self) -> list[Column]:
        return [column for column in self.columns if column.name != "capability"]

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Bytes of each word; those that hold nothing at their high end are cut."""
        used: dict[int, int] = {}
        for slot in self.slots:
            used[slot.word] = max(used.get(slot.word, 0), slot.shift + slot.column.bits)
        return tuple(-(-used[word] // 8) for word in sorted(used))

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row, what follows in the stream left aside."""
        return sum(self.widths)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """One row as it is evaluated."""
        return np.dtype([(column.name, column.dtype) for column in self.columns])

    # --- writing ----------------------------------------------------------------------------------

    def rows_sql(self, at: str, tables: str) -> str:
        """SELECT of rows as `capability`, `packed` and `far`.

        `at` is SQL of the dating instant. `tables` is a FROM clause with its WHERE; in it `d.base`
        is the epoch second that the row's local day begins with.
        """
        found = next(column for column in self.columns if column.name == "capability")
        told = ", ".join(
            f"({_epoch(at) if slot.column.name == 'at' else slot.column.code}) AS c{place}"
            for place, slot in enumerate(self.slots)
        )
        codes = [self._code_sql(place, slot) for place, slot in enumerate(self.slots)]
        named = ", ".join(f"{code} AS c{place}" for place, code in enumerate(codes))
        fits = " AND ".join(_fits(codes[place], slot) for place, slot in self._open)
        # Each level is worked out once a row (OFFSET 0): what the fields say, the codes of it and
        # whether all of them fit, and the bytes. Where they do, no column is looked at again.
        return f"""
            SELECT f.capability,
                   CASE WHEN f.fits THEN {self._words_sql(_whole)} ELSE {self._words_sql(_cut)} END
                   AS packed,
                   CASE WHEN f.fits THEN ''::bytea ELSE {self._far_sql()} END AS far
              FROM (SELECT s.capability, {named}, {fits} AS fits
                      FROM (SELECT d.base, coalesce({found.source}, 0)::integer AS capability,
                                   {told} FROM {tables} OFFSET 0) AS s OFFSET 0) AS f
        """  # noqa: S608 - every part is declared by a kind

    def _code_sql(self, place: int, slot: _Slot) -> str:
        """A code from what the field says; that of an instant is counted from the row's own."""
        if slot.column.name == "at":
            return f"(s.c{place} - s.base)"
        if slot.column.is_instant:
            return f"coalesce(s.c{place} - s.c{self._at} + 1, 0)"
        return f"s.c{place}"

    @cached_property
    def _at(self) -> int:
        """The place of the row's own instant."""
        return next(n for n, slot in enumerate(self.slots) if slot.column.name == "at")

    def _words_sql(self, code: Callable[[int, _Slot], str]) -> str:
        words = []
        for word, width in enumerate(self.widths):
            codes = " | ".join(
                f"({code(place, slot)} << {slot.shift})"
                for place, slot in enumerate(self.slots)
                if slot.word == word
            )
            whole = f"int8send({codes})"
            words.append(whole if width == WORD // 8 else f"substr({whole}, {9 - width})")
        return " || ".join(words)

    def _far_sql(self) -> str:
        return " || ".join(
            f"CASE WHEN {_fits(f'f.c{place}', slot)} THEN ''::bytea"
            f" ELSE substr(int8send(f.c{place} + {_FAR_ZERO}), {9 - FAR_BYTES}) END"
            for place, slot in self._open
        )

    @property
    def _open(self) -> list[tuple[int, _Slot]]:
        """Slots that not every code fits, with their places."""
        return [(n, slot) for n, slot in enumerate(self.slots) if not slot.column.closed]

    # --- reading ----------------------------------------------------------------------------------

    def rows_of(self, parts: Iterable[Part]) -> int:
        """How many rows packed days hold."""
        return sum(len(part.packed) for part in parts) // self.row_bytes

    def unpack(self, parts: Iterable[Part]) -> Rows:
        """The rows of packed days, one after the other.

        Some days at a time, so that what is needed on the way stays small. Raises TooMuchToRead.
        """
        parts = list(parts)
        total = self.rows_of(parts)
        if total * self.dtype.itemsize > MOST_BYTES:
            raise TooMuchToRead(total)
        into = {column.name: np.empty(total, column.dtype) for column in self.columns}
        done = 0
        for some in _at_once(parts, self.row_bytes):
            length = sum(len(part.packed) for part in some) // self.row_bytes
            self._unpack(some, into, slice(done, done + length))
            done += length
        return Rows(into, total)

    def _unpack(
        self, parts: Sequence[Part], into: Mapping[str, NDArray[Any]], where: slice
    ) -> None:
        packed = np.frombuffer(b"".join(part.packed for part in parts), np.uint8)
        codes = self._codes(packed.reshape(-1, self.row_bytes))
        self._follow(codes, b"".join(part.far for part in parts))
        bases, whose, lengths = _slices(parts)
        into["capability"][where] = np.repeat(whose, lengths)
        at = np.repeat(bases, lengths)
        at += codes[self._at]
        for slot, code_ in zip(self.slots, codes, strict=True):
            into[slot.column.name][where] = (
                at if slot.column.name == "at" else slot.column.value(code_, at)
            )

    def _codes(self, packed: NDArray[np.uint8]) -> list[Numbers]:
        """What the slots hold, column by column."""
        words = []
        start = 0
        for width in self.widths:
            word = np.zeros((len(packed), 8), np.uint8)
            word[:, 8 - width :] = packed[:, start : start + width]
            # The sign of a full word is cut off with the bits above a slot.
            words.append(word.view(">i8")[:, 0].astype(np.int64))
            start += width
        return [(words[slot.word] >> slot.shift) & slot.full for slot in self.slots]

    def _follow(self, codes: Sequence[Numbers], stream: bytes) -> None:
        """Put the codes of the stream into the slots that are full, in the same order."""
        far = np.zeros((len(stream) // FAR_BYTES, 8), np.uint8)
        far[:, 8 - FAR_BYTES :] = np.frombuffer(stream, np.uint8).reshape(-1, FAR_BYTES)
        told = far.view(">i8")[:, 0].astype(np.int64) - _FAR_ZERO
        places = np.array([place for place, _ in self._open])
        full = [codes[place] == slot.full for place, slot in self._open]
        # Few rows have a full slot: only those are looked at slot by slot.
        some = np.flatnonzero(np.logical_or.reduce(full))
        row, which = np.nonzero(np.stack([one[some] for one in full], axis=1))
        place = places[which]
        if len(row) != len(told):
            raise DamagedBlock(f"{len(told)} codes follow {len(row)} full slots.")
        for number_ in np.unique(place):
            mine = place == number_
            codes[number_][some[row[mine]]] = told[mine]


def _at_once(parts: Sequence[Part], row_bytes: int) -> Iterable[Sequence[Part]]:
    """Parts in portions of about so many rows."""
    some: list[Part] = []
    size = 0
    for part in parts:
        some.append(part)
        size += len(part.packed)
        if size >= ROWS_AT_ONCE * row_bytes:
            yield some
            some, size = [], 0
    if some:
        yield some


def _whole(place: int, slot: _Slot) -> str:
    return f"f.c{place}"


def _cut(place: int, slot: _Slot) -> str:
    code = _whole(place, slot)
    if slot.column.closed:
        return code
    return f"(CASE WHEN {_fits(code, slot)} THEN {code} ELSE {slot.full} END)"


def _fits(code: str, slot: _Slot) -> str:
    return f"({code} >= 0 AND {code} < {slot.full})"


class TooMuchToRead(BadRequest):
    """More rows were asked for at once than are held in memory; the message says what to do."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"That is {rows:,} rows of facts at once, too many to hold in memory. Ask for a shorter"
            " period or for fewer capabilities."
        )


class DamagedBlock(ValueError):
    """The bytes of a block contradict each other."""


@dataclass(frozen=True, slots=True)
class Part:
    """A packed day, or what is one capability's of several days."""

    #: Epoch second of the local midnight rows are counted from: one, or one for each slice.
    bases: Sequence[int]
    #: Whose slices there are, in the order of the rows.
    capabilities: Sequence[int]
    #: Where each slice ends (`ENDS`).
    ends: Sequence[int]
    packed: bytes
    far: bytes


def _slices(parts: Sequence[Part]) -> tuple[Numbers, Numbers, Numbers]:
    """Base, capability and number of rows of each slice of some parts."""
    counts = [len(part.ends) for part in parts]
    ends = np.fromiter(chain.from_iterable(part.ends for part in parts), np.int64) // ENDS
    starts = np.concatenate([[0], ends[:-1]])
    starts[np.cumsum([0, *counts[:-1]])] = 0
    bases = np.fromiter(chain.from_iterable(part.bases for part in parts), np.int64)
    # A day's base is that of all its slices.
    each = chain.from_iterable(
        [count] if len(part.bases) == 1 else [1] * count
        for part, count in zip(parts, counts, strict=True)
    )
    whose = np.fromiter(chain.from_iterable(part.capabilities for part in parts), np.int64)
    return np.repeat(bases, np.fromiter(each, np.int64)), whose, ends - starts


@dataclass(frozen=True)
class Kind:
    """A fact kind: its rows, the instant that dates them, and its columns."""

    name: str
    #: FROM clause without the organisation; the first alias owns `tenant_id`.
    tables: str
    alias: str
    #: SQL of the dating instant; indexed, so that one day is found without reading the others.
    at: str
    at_of_row: Callable[[Mapping[str, Any]], datetime | None]
    columns: tuple[Column, ...]
    #: Days before a period that a figure of the period also looks at.
    reach_days: int = 0

    @cached_property
    def block(self) -> Layout:
        """What blocks hold."""
        return Layout(tuple(column for column in self.columns if column.in_blocks))

    @cached_property
    def whole(self) -> Layout:
        """Every column, for rows that are read from the facts whatever their day.

        Their instants are counted from 1970, not from a midnight.
        """
        return Layout(
            tuple(
                replace(column, bits=LAST_INSTANT.bit_length() + 1)
                if column.name == "at"
                else column
                for column in self.columns
            )
        )

    @property
    def sources(self) -> list[str]:
        """The fields its columns are made of, without the dating instant's own."""
        told = set()
        for column in self.columns:  # one that is made of several fields names them in its SQL
            if column.source == WHOLE or column.of_row:
                told |= set(_FIELD.findall(column.code))
            elif column.source != DATED:
                told.add(column.source)
        return sorted(told)

    def pack(self, rows: Iterable[Mapping[str, Any]]) -> Rows:
        """Rows folded in memory, by `alias.field`, as the same columns."""
        dated = ({**row, DATED: self.at_of_row(row)} for row in rows)
        packed = [
            tuple(column.read(row) for column in self.columns)
            for row in dated
            if row[DATED] is not None
        ]
        return Rows.of(np.array(packed, dtype=self.whole.dtype))
