"""Reading blocks, and what a process keeps of those it has read.

Unpacked columns are kept until their blocks are packed anew, so that a page asks the database what
is new and seldom for anything else. What is kept of a day is right at a later moment if

* no block of that day has a later version: whoever packs a kind holds its lock until the commit,
  so versions grow in the order in which others come to see them (`columns.refresh`), and
* as many marks stand against the day as then: a fact that changes leaves one in its own
  transaction, and whoever takes it away packs the day under a later version.

Both are asked in one statement, at every reading, under the row security of whoever reads: nothing
that was committed before it is missed, and of another organisation there is nothing. A day with
other marks than before, or without a block, is packed from the facts in the statement that tells
its marks, and kept like any other.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from itertools import accumulate
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics import packing, room
from metrics.columns import KINDS, MIDNIGHT, Kind, ask, days_sql, layout
from metrics.packing import ENDS, Part, TooMuchToRead
from metrics.room import TURN
from metrics.rows import Rows
from portal.tenancy.context import acting_tenant_id
from portal.tenancy.models import Organisation

#: What a process keeps of all organisations together takes at most this much memory.
MOST_KEPT = 128 * 2**20
#: Days a stretch may be lengthened to, so that pages of other periods find theirs in it.
LONGEST_KEPT = 3 * 366

Key = tuple[int, str, str, int | None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Local days of a kind, start <= day < until."""

    kind: Kind
    start: date
    until: date

    @property
    def days(self) -> int:
        """How many there are."""
        return (self.until - self.start).days

    def covers(self, other: Stretch) -> bool:
        """Whether it has all days of another one."""
        return self.start <= other.start and other.until <= self.until

    def with_(self, other: Stretch) -> Stretch:
        """Both and what lies between them."""
        return Stretch(self.kind, min(self.start, other.start), max(self.until, other.until))


#: The version of a day of which nothing is known yet, and of a kind; and that of a day's facts.
UNKNOWN, FACTS = -1, 0


@dataclass(frozen=True, slots=True)
class Days:
    """The rows of some days in ascending order, wherever they come from."""

    #: `date.toordinal`. Shape (days,), as are the next two.
    ordinals: NDArray[np.int64]
    #: Of their blocks, or FACTS.
    versions: NDArray[np.int64]
    #: How many marks stood against each; of a block none counts.
    marks: NDArray[np.int64]
    #: Where each one's rows begin, and where the last one's end. Shape (days + 1,).
    edges: NDArray[np.int64]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows of a stretch, one day after the other, as of a version of their kind.

    Arrays are as in `Days`, for every day of the stretch.
    """

    stretch: Stretch
    version: int
    versions: NDArray[np.int64]
    marks: NDArray[np.int64]
    edges: NDArray[np.int64]
    rows: Rows

    @classmethod
    def nothing(cls, stretch: Stretch) -> Kept:
        """A stretch of which nothing is known."""
        none = np.zeros(stretch.days, np.int64)
        edges = np.zeros(stretch.days + 1, np.int64)
        rows = stretch.kind.block.unpack([])
        return cls(stretch, UNKNOWN, np.full(stretch.days, UNKNOWN), none, edges, rows)

    def between(self, start: date, until: date) -> Rows:
        """The rows of some of its days."""
        first, last = ((day - self.stretch.start).days for day in (start, until))
        return self.rows[int(self.edges[first]) : int(self.edges[last])]

    @property
    def nbytes(self) -> int:
        """What it takes."""
        arrays = (self.versions, self.marks, self.edges)
        return self.rows.nbytes + sum(array.nbytes for array in arrays)

    def state(self, start: date, until: date) -> tuple[int, int]:
        """What tells the rows of some days from those of another moment.

        A day packed anew has a version greater than all before; until then its marks only grow.
        """
        first, last = ((day - self.stretch.start).days for day in (start, until))
        return int(self.versions[first:last].max()), int(self.marks[first:last].sum())

    def with_days(self, days: Days, version: int) -> Kept:
        """The same as of another version, with other rows for some days."""
        counts, versions, marks = np.diff(self.edges), self.versions.copy(), self.marks.copy()
        places = days.ordinals - self.stretch.start.toordinal()
        counts[places] = np.diff(days.edges)
        versions[places], marks[places] = days.versions, days.marks
        edges = np.concatenate([[0], np.cumsum(counts)])
        rows = self._woven(days, places) if len(self.rows) else days.rows
        return Kept(self.stretch, version, versions, marks, edges, rows)

    def _woven(self, days: Days, places: NDArray[np.int64]) -> Rows:
        if not len(places):
            return self.rows
        parts = []
        done = 0
        for first, last in _runs(places):
            begin, end = int(places[first]), int(places[last]) + 1
            parts.append(self.rows[int(self.edges[done]) : int(self.edges[begin])])
            parts.append(days.rows[int(days.edges[first]) : int(days.edges[last + 1])])
            done = end
        parts.append(self.rows[int(self.edges[done]) :])
        return Rows.together(parts)

    def doubtful(self, marks: Mapping[int, int]) -> list[int]:
        """Days that are not known, or not as of these marks, as ordinals."""
        now = np.zeros(self.stretch.days, np.int64)
        start = self.stretch.start.toordinal()
        for ordinal, count in marks.items():
            now[ordinal - start] = count
        return (np.flatnonzero((self.versions == UNKNOWN) | (self.marks != now)) + start).tolist()


def _runs(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last index of each stretch of places that follow one another."""
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) != 1)
    firsts = [0, *(breaks + 1).tolist()]
    lasts = [*breaks.tolist(), len(places) - 1]
    return list(zip(firsts, lasts, strict=True))


class _Store:
    """What is kept, the least recently read going first; several threads read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._lock = Lock()
        #: What it takes, counted as it grows: there may be thousands of stretches.
        self.nbytes = 0

    def get(self, key: Key) -> Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Key, kept: Kept) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            self.nbytes += kept.nbytes - (before.nbytes if before else 0)
            self._kept[key] = kept
            while self.nbytes > MOST_KEPT:
                _, gone = self._kept.popitem(last=False)
                self.nbytes -= gone.nbytes

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self.nbytes = 0


KEPT = _Store()


def load(
    tenant: Organisation,
    kind: Kind,
    start: date,
    until: date,
    capabilities: frozenset[int] | None = None,
) -> Rows:
    """Rows of the local days start <= day < until. Runs inside `acting()`, as web or worker."""
    return load_all(tenant, [Stretch(kind, start, until)], capabilities)[kind.name].rows


def load_all(
    tenant: Organisation,
    asked: Sequence[Stretch],
    capabilities: frozenset[int] | None = None,
    *,
    beside: int = 0,
) -> dict[str, Loaded]:
    """Rows of stretches of several kinds, by the kind's name; those of a kind are of one moment.

    Of one capability only its slices are read. `beside`: bytes that whoever asks holds already.
    Raises TooMuchToRead, AnotherIsRead.
    """
    one = next(iter(capabilities)) if capabilities is not None and len(capabilities) == 1 else None
    reading = _Reading(tenant, one, beside)
    try:
        held = reading.held(asked)
    except _NotSmall:
        held = None
    if held is None:  # not in the handler: whoever waits has let go of what was found until then
        TURN.take()
        held = reading.held(asked)
    told = {}
    for stretch in asked:
        kept = held[stretch.kind.name]
        rows = kept.between(stretch.start, stretch.until)
        if capabilities is not None and one is None:
            rows = rows[np.isin(rows["capability"], sorted(capabilities))]
        told[stretch.kind.name] = Loaded(rows, kept)
    return told


@dataclass(frozen=True, slots=True)
class Loaded:
    """Rows that were asked for, and what they were cut from; None where that is no block."""

    rows: Rows
    kept: Kept | None

    @property
    def nbytes(self) -> int:
        """What is held for them: all of what they were cut from."""
        return self.rows.nbytes if self.kept is None else self.kept.nbytes + self.rows.own_nbytes


class _NotSmall(Exception):
    """What is new would make a small reading large: of its rows none were fetched."""


@dataclass(frozen=True, slots=True)
class _News:
    """What the database told of a kind: its version, marks by day, newer blocks, days of facts."""

    version: int
    marks: Mapping[int, int]
    blocks: Days
    facts: Days


class _Reading:
    """One reading of blocks: what is kept, what is new, and the facts of marked days."""

    def __init__(self, tenant: Organisation, capability: int | None, beside: int) -> None:
        self.tenant, self.capability, self.beside = tenant, capability, beside
        # Whoever acts for another organisation is shown nothing: that is not worth keeping.
        self.store = KEPT if acting_tenant_id() == tenant.pk else _Store()

    def held(self, asked: Sequence[Stretch]) -> dict[str, Kept]:
        """What there is of stretches of several kinds, by the kind's name. Raises _NotSmall."""
        before = {one.kind.name: self._before(one) for one in asked}
        held = dict(before)
        doubtful: dict[str, list[int]] = {name: [] for name in held}
        # Facts are asked for in a second statement, where days are doubtful: planning it for every
        # reading would cost more than it saves. A third is needed only where blocks were packed
        # between the two.
        facts = False
        while doubtful:
            most = self._most(held.values())
            news = self._ask([held[name] for name in doubtful], doubtful if facts else {}, most)
            for name, told in news.items():
                held[name] = _renewed(held[name], told)
            doubtful = {
                name: days
                for name, told in news.items()
                if (days := held[name].doubtful(told.marks))
            }
            facts = all(held[name].version != UNKNOWN for name in doubtful)
        for name, kept in held.items():
            if kept is not before[name]:
                self.store.put(self._key(kept.stretch.kind), kept)
        return held

    def _before(self, asked: Stretch) -> Kept:
        """What is kept of a stretch; nothing, of the days that shall be kept, where it is less."""
        found = self.store.get(self._key(asked.kind))
        if found is not None and found.stretch.covers(asked):
            return found
        wanted = asked if found is None else asked.with_(found.stretch)
        return Kept.nothing(wanted if wanted.days <= LONGEST_KEPT else asked)

    def _key(self, kind: Kind) -> Key:
        zone = self.tenant.time_zone
        return self.tenant.pk, kind.name, layout(kind, zone), self.capability

    def _most(self, held: Collection[Kept]) -> int:
        """How many bytes of new rows there is room for beside what is held. Raises _NotSmall.

        Several kinds at once have to fit where one of them may.
        """
        taken = sum(one.nbytes for one in held)
        most = packing.MOST_BYTES - (taken if len(held) > 1 else 0)
        if TURN.mine:
            return most
        small = room.SMALL_BYTES - self.beside - taken
        if small < 0:
            raise _NotSmall
        return min(small, most)

    def _ask(
        self, held: Sequence[Kept], doubtful: Mapping[str, Sequence[int]], most: int
    ) -> dict[str, _News]:
        """What is new of each kind since its version; of doubtful days, what the facts say.

        Raises _NotSmall or TooMuchToRead where that is more than `most` bytes: none are sent then.
        """
        values = {
            "tenant": self.tenant.pk,
            "zone": self.tenant.time_zone,
            "capability": self.capability,
            "kinds": [one.stretch.kind.name for one in held],
            "layouts": [layout(one.stretch.kind, self.tenant.time_zone) for one in held],
            "starts": [one.stretch.start for one in held],
            "untils": [one.stretch.until for one in held],
            "since": [one.version for one in held],
            "widths": [one.stretch.kind.block.row_bytes for one in held],
            "sizes": [one.stretch.kind.block.dtype.itemsize for one in held],
            "most": most,
        }
        for one in held if doubtful else ():
            values |= _facts_values(one, doubtful[one.stretch.kind.name])
        told: dict[str, tuple[int, Mapping[int, int]]] = {}
        packed: dict[tuple[str, str], list[_Packed]] = defaultdict(list)
        statement = _news_sql(tuple(doubtful), sliced=self.capability is not None)
        for what, name, version, days, counts, *rest in ask(statement, values):
            if what == _KIND:
                told[name] = version, dict(zip(days or (), counts or (), strict=True))
                rows, size = rest[0]
                if size > most:
                    never = TURN.mine or size > packing.MOST_BYTES
                    raise TooMuchToRead(rows) if never else _NotSmall
            else:
                packed[what, name].append(_Packed(days, counts, *rest))
        return {
            name: _News(
                version,
                marks,
                _unpacked(name, packed[_BLOCKS, name]),
                _marked(_unpacked(name, packed[_FACTS, name]), marks),
            )
            for name, (version, marks) in told.items()
        }


def _renewed(held: Kept, news: _News) -> Kept:
    """What is held of a kind with what is new."""
    if news.version < held.version:
        return Kept.nothing(held.stretch)  # a backup was restored: what was kept says nothing
    if news.version > held.version:
        held = held.with_days(news.blocks, news.version)
    return held.with_days(news.facts, news.version) if len(news.facts.ordinals) else held


def _marked(days: Days, marks: Mapping[int, int]) -> Days:
    """Days that were read from the facts, with the marks that stood against them."""
    return replace(
        days, marks=np.array([marks.get(day, 0) for day in days.ordinals.tolist()], np.int64)
    )


#: What a row of the answer tells.
_KIND, _BLOCKS, _FACTS = "kind", "blocks", "facts"


@dataclass(frozen=True, slots=True)
class _Packed:
    """A row of the answer: a day of all capabilities, or what is one capability's of many days."""

    days: Sequence[int]
    versions: Sequence[int]
    bases: Sequence[int]
    capabilities: Sequence[int]
    #: Of one day: where each capability's part ends; of many days: how long each one's is (`ENDS`).
    ends: Sequence[int]
    packed: bytes
    far: bytes


@cache
def _no_days(name: str) -> Days:
    """What most readings find new of a kind."""
    none = np.zeros(0, np.int64)
    return Days(none, none, none, np.zeros(1, np.int64), KINDS[name].block.unpack([]))


def _unpacked(name: str, packed: Sequence[_Packed]) -> Days:
    """Unpacked days; those of one capability come in one row."""
    if not packed:
        return _no_days(name)
    parts, ordinals, versions, ends = [], list[int](), list[int](), list[int]()
    for one in sorted(packed, key=lambda each: each.days[0]):
        ordinals += one.days
        versions += one.versions
        # Of several days PostgreSQL tells how long each slice is.
        till = one.ends if len(one.days) == 1 else list(accumulate(one.ends))
        ends += one.ends if len(one.days) > 1 else one.ends[-1:] or [0]
        if till:
            parts.append(Part(one.bases, one.capabilities, till, one.packed, one.far))
    edges = np.array([0, *accumulate(end // ENDS for end in ends)], np.int64)
    return Days(
        np.array(ordinals, np.int64),
        np.array(versions, np.int64),
        np.zeros(len(ordinals), np.int64),
        edges,
        KINDS[name].block.unpack(parts),
    )


# --- the statement --------------------------------------------------------------------------------

_ORDINAL = "{day} - date '0001-01-01' + 1"
_NOTHING = "NULL::integer[], NULL::bigint[], NULL::bytea, NULL::bytea"
_MARKS = """
    SELECT m.day, count(*) AS marks FROM metrics_mark m
     WHERE m.tenant_id = %(tenant)s AND m.kind = a.kind AND m.day >= a.start AND m.day < a.until
     GROUP BY m.day
"""


@cache
def _news_sql(facts: tuple[str, ...], *, sliced: bool) -> str:
    """Versions, marked days and newer blocks of some kinds, and of `facts` the days in `days_*`.

    How many rows and bytes that is stands beside each version; where it is more than `most`, no row
    is sent.
    """
    base = MIDNIGHT.format(day="b.day")
    day = _ORDINAL.format(day="b.day")
    # Here and below every part is declared by a kind or above.
    place, counted = "", "b.rows"
    blocks = f"""
        SELECT '{_BLOCKS}', b.kind, NULL::bigint, ARRAY[{day}], ARRAY[b.version], ARRAY[{base}],
               b.capabilities, b.ends, b.columns, b.far
          FROM newer b CROSS JOIN new WHERE new.bytes <= %(most)s
    """  # noqa: S608
    if sliced:
        # One row for all days: a year of a capability is otherwise hundreds of small ones. A day
        # without the capability is told as one of no rows: it is clean.
        blocks = f"""
        SELECT '{_BLOCKS}', b.kind, NULL::bigint, array_agg({day} ORDER BY b.day),
               array_agg(b.version ORDER BY b.day), array_agg({base} ORDER BY b.day),
               array_agg(%(capability)s::integer ORDER BY b.day),
               array_agg((b.rows_end - b.row) * {ENDS} + b.far_end - b.far_begin ORDER BY b.day),
               string_agg(CASE WHEN b.rows_end = b.row THEN ''::bytea ELSE substr(b.columns,
                      (b.row * b.width + 1)::integer, ((b.rows_end - b.row) * b.width)::integer)
                      END, ''::bytea ORDER BY b.day),
               string_agg(CASE WHEN b.far_end = b.far_begin THEN ''::bytea ELSE substr(b.far,
                      (b.far_begin + 1)::integer, (b.far_end - b.far_begin)::integer)
                      END, ''::bytea ORDER BY b.day)
          FROM newer b CROSS JOIN new WHERE new.bytes <= %(most)s
         GROUP BY b.kind
    """  # noqa: S608
        counted = "b.rows_end - b.row"
        place = f"""
          CROSS JOIN LATERAL (
            SELECT array_position(b.capabilities, %(capability)s::integer) AS place
          ) AS p
          CROSS JOIN LATERAL (
            SELECT coalesce(b.ends[p.place - 1], 0) / {ENDS} AS row,
                   coalesce(b.ends[p.place - 1], 0) %% {ENDS} AS far_begin,
                   coalesce(b.ends[p.place], 0) / {ENDS} AS rows_end,
                   coalesce(b.ends[p.place], 0) %% {ENDS} AS far_end
          ) AS e
        """
    stale = "".join(f", stale_{name} AS MATERIALIZED ({_stale_sql(name)})" for name in facts)
    # The packed rows of each of these days, also of those on which nothing is found.
    for name in facts:
        days = days_sql(KINDS[name], f"SELECT day FROM stale_{name}", sliced=sliced)  # noqa: S608
        stale += f", facts_{name} AS MATERIALIZED ({days})"
    told = "".join(
        f"""
         UNION ALL
        SELECT '{_FACTS}', '{name}', NULL::bigint, ARRAY[{_ORDINAL.format(day="f.day")}],
               ARRAY[{FACTS}::bigint], ARRAY[f.base], f.capabilities, f.ends, f.packed, f.far
          FROM facts_{name} f CROSS JOIN new WHERE new.bytes <= %(most)s
        """  # noqa: S608
        for name in facts
    )
    numbers = f"SELECT {counted} AS rows, b.size FROM newer b" + "".join(  # noqa: S608
        f" UNION ALL SELECT f.rows, a.size FROM facts_{name} f, asked a WHERE a.kind = '{name}'"  # noqa: S608
        for name in facts
    )
    return f"""
        WITH asked AS MATERIALIZED (
            SELECT a.*, coalesce(p.version, 0) AS version
              FROM unnest(%(kinds)s::text[], %(layouts)s::text[], %(starts)s::date[],
                   %(untils)s::date[], %(since)s::bigint[], %(widths)s::integer[],
                   %(sizes)s::integer[])
                   AS a(kind, layout, start, until, since, width, size)
              LEFT JOIN metrics_packing p ON p.tenant_id = %(tenant)s AND p.kind = a.kind
        ), newer AS MATERIALIZED (
            SELECT b.*, a.width, a.size{", e.*" if sliced else ""}
              FROM asked a JOIN metrics_block b ON b.tenant_id = %(tenant)s
               AND b.kind = a.kind AND b.day >= a.start AND b.day < a.until{place}
             WHERE a.version > a.since AND b.version > a.since AND b.layout = a.layout
        ){stale}, new AS MATERIALIZED (
            SELECT coalesce(sum(n.rows), 0)::bigint AS rows,
                   coalesce(sum(n.rows * n.size), 0)::bigint AS bytes
              FROM ({numbers}) AS n
        )
        SELECT '{_KIND}', a.kind, a.version, m.days, m.marks, ARRAY[new.rows, new.bytes], {_NOTHING}
          FROM asked a CROSS JOIN new CROSS JOIN LATERAL (
            SELECT array_agg({_ORDINAL.format(day="m.day")}) AS days, array_agg(m.marks) AS marks
              FROM ({_MARKS}) AS m
          ) AS m
         UNION ALL {blocks}{told}
    """  # noqa: S608


def _stale_sql(name: str) -> str:
    """Days to be read from the facts: those that are named, and those marked since."""
    return f"""
        SELECT unnest(%(days_{name})s::date[]) AS day
         UNION
        SELECT m.day FROM asked a CROSS JOIN LATERAL ({_MARKS}) AS m
          LEFT JOIN unnest(%(known_{name})s::date[], %(marks_{name})s::bigint[])
                 AS k(day, marks) ON k.day = m.day
         WHERE a.kind = '{name}' AND m.marks <> coalesce(k.marks, 0)
    """  # noqa: S608


def _facts_values(held: Kept, days: Sequence[int]) -> dict[str, Any]:
    """What `_stale_sql` asks for of a kind."""
    name, start = held.stretch.kind.name, held.stretch.start.toordinal()
    known = np.flatnonzero(held.marks)
    return {
        f"days_{name}": [date.fromordinal(day) for day in days],
        f"known_{name}": [date.fromordinal(start + place) for place in known.tolist()],
        f"marks_{name}": held.marks[known].tolist(),
    }
