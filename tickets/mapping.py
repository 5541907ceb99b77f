"""The mapping file of a source: what columns mean, how dates are written, which word is which.

A mapping is TOML (tickets/mappings/ ships two). `Mapping.parse` checks it completely and names
every mistake at once; `Columns` reads one row with it, giving values in this product's words and a
`Problem` for each field that could not be used.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.text import slugify

from portal.catalogue.severity import Severity
from tickets.canonical import FIRST_YEAR, LAST_YEAR, ActorKind, Precision, State
from tickets.event_types import SCALES
from tickets.files import DELIMITERS, ENCODINGS, Layout
from tickets.storable import UNSTORABLE

SHIPPED = Path(__file__).parent / "mappings"

#: What a row of a file is: a version of a ticket, a whole ticket, or an event.
VERSIONS, TICKETS, EVENTS = "versions", "tickets", "events"

#: Columns a mapping may name, and what each one means.
MEANINGS = {
    "ticket": "the ticket's number in the source",
    "at": "when this version or row of the ticket was written, or the event happened",
    "type": "what happened, see [values.type] (rows = events)",
    "value": "what it became: the new state, severity, group … (rows = events)",
    "reason": "why it was escalated (rows = events)",
    "sequence": "orders versions or events of the same instant",
    "opened_at": "when the ticket was opened",
    "first_response_at": "when a person first answered (rows = tickets)",
    "resolved_at": "when it was resolved (rows = tickets)",
    "rated_at": "when the rating was given (rows = tickets)",
    "state": "its state, see [values.state]",
    "severity": "its severity, see [values.severity]",
    "capability": "what it is about, see [values.capability]",
    "group": "the team it sits with",
    "agent": "who works on it",
    "actor": "who wrote this version, or did this",
    "requester": "who asked for help",
    "requester_email": "their address",
    "problem": "the problem record, parent or known error it is linked to",
    "channel": "how they asked",
    "subject": "its subject",
    "score": "the rating",
    "remark": "the words beside the rating",
}
#: Meanings that are instants.
INSTANTS = frozenset({"at", "opened_at", "first_response_at", "resolved_at", "rated_at"})
#: What a row of each shape cannot be without.
REQUIRED = {
    VERSIONS: ("ticket", "at", "opened_at"),
    TICKETS: ("ticket", "opened_at"),
    EVENTS: ("ticket", "at", "type"),
}
#: What an event row may tell, and what its value is.
TOLD = {
    "opened": "",
    "status": "state",
    "severity": "severity",
    "capability": "capability",
    "group": "group",
    "agent": "agent",
    "problem": "problem",
    "reply": "",
    "requester_message": "",
    "escalation": "",
}
_WORDS = {
    "type": set(TOLD),
    "state": {str(state) for state in State},
    "severity": {str(severity) for severity in Severity},
}
_TABLES = frozenset(
    {
        "title",
        "rows",
        "unknown",
        "file",
        "time",
        "columns",
        "values",
        "defaults",
        "final",
        "create",
    }
)
_FILE = frozenset({"encoding", "delimiter", "sheet", "header_row"})
_TIME = frozenset({"zone", "formats", "columns"})
_CREATE = frozenset({"domain", "name", "zone", "hours", "capabilities"})
#: Scales a column of ratings may be on: of others no figure knows what is good.
FILE_SCALES = (*(name for name in SCALES if name.startswith("csat_")), "nps_0_10")
#: As long as the narrowest column that may hold it; a longer value is a mistake in the file.
_LONGEST = {"group": 150, "channel": 40, "capability": 150, "requester_email": 254, "problem": 200}
#: Capabilities one file may name: a column with more is no list of topics.
MOST_CAPABILITIES = 500
#: What is remembered of a column: so many values, each no longer than so many characters.
_REMEMBERED, _WORTH_REMEMBERING = 20_000, 100
#: UTF-8 that was read as Windows-1252 and written again.
MOJIBAKE = re.compile("[ÃÂ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€")


class MappingError(ValueError):
    """A mapping cannot be used. `mistakes` holds one sentence each."""

    def __init__(self, name: str, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        listed = "".join(f"\n  - {mistake}" for mistake in mistakes)
        super().__init__(f"The mapping {name} cannot be used; nothing was read.{listed}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A field of a row that could not be used; `refused` where the whole row was not."""

    row: int
    ticket: str
    #: The column as the file names it; empty where the row as a whole is meant.
    field: str
    value: str
    reason: str
    refused: bool = True


@dataclass(frozen=True, slots=True)
class Create:
    """What an import may add to the catalogue: one domain, and capabilities inside it."""

    domain: str
    name: str
    zone: str
    hours: dict[str, list[list[str]]]
    capabilities: bool


@dataclass(frozen=True)
class Mapping:
    """A checked mapping; `source` is its TOML as a dictionary, as a connection keeps it."""

    source: dict[str, Any]
    rows: str
    columns: dict[str, str]
    values: dict[str, dict[str, str]]
    unknown: frozenset[str]
    #: How dates are written, and in columns that have a way of their own, by meaning.
    formats: tuple[str, ...]
    formats_of: dict[str, tuple[str, ...]]
    zone: ZoneInfo
    severity: str
    actor_kind: str
    scale: str
    create: Create | None
    final: dict[str, str]
    file: Layout = field(default_factory=Layout)

    @property
    def creates_capabilities(self) -> bool:
        """Whether capabilities that nobody knows are added to the catalogue."""
        return self.create is not None and self.create.capabilities

    @classmethod
    def load(cls, name: str | Path) -> Mapping:
        """Read a mapping file: a path, or the name of a shipped one."""
        path = Path(name)
        if not path.exists() and (SHIPPED / f"{name}.toml").exists():
            path = SHIPPED / f"{name}.toml"
        try:
            source = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise MappingError(str(name), [f"It could not be read: {error}."]) from error
        return cls.parse(source, name=path.name)

    @classmethod
    def parse(cls, source: dict[str, Any], *, name: str) -> Mapping:
        """Check a mapping. Raises MappingError with every mistake found."""
        mistakes = [
            f"{where} must be {what}."
            for where, (fits, what) in _SHAPES.items()
            if (said := _inside(source, where)) is not None and not fits(said)
        ]
        if mistakes:
            raise MappingError(name, mistakes)
        _refuse_unknown("a mapping", source, _TABLES, mistakes)
        rows = source.get("rows")
        if rows not in REQUIRED:
            mistakes.append(f"rows must be one of {', '.join(REQUIRED)}, not {rows!r}.")
        columns = source.get("columns", {})
        _refuse_unknown("[columns]", columns, frozenset(MEANINGS), mistakes)
        mistakes += [
            f"[columns] must name {needed}: {MEANINGS[needed]}."
            for needed in REQUIRED.get(str(rows), ())
            if needed not in columns
        ]
        if rows == TICKETS and "state" in columns and "at" not in columns:
            mistakes.append(
                '[columns] state needs at when rows = "tickets": since when does the ticket stand'
                " so? Without such a column leave state out and name resolved_at."
            )
        time = source.get("time", {})
        _refuse_unknown("[time]", time, _TIME, mistakes)
        zone = _zone(time.get("zone"), mistakes)
        formats = tuple(time.get("formats", ()))
        formats_of = {str(name): tuple(some) for name, some in time.get("columns", {}).items()}
        _refuse_unknown("[time.columns]", formats_of, INSTANTS, mistakes)
        if not formats and not (formats_of and columns.keys() & INSTANTS <= formats_of.keys()):
            mistakes.append(
                '[time] formats must list how dates are written, for example ["%d/%m/%Y %H:%M"]'
                ' or ["iso"].'
            )
        mistakes += [
            f"[time] the format {form!r} cannot be used: {why}."
            for form in {*formats, *(form for some in formats_of.values() for form in some)}
            if (why := _format_mistake(form))
        ]
        values = source.get("values", {})
        for kind, words in _WORDS.items():
            mistakes += [
                f"[values.{kind}] {said!r} = {word!r}: the words are {', '.join(sorted(words))}."
                for said, word in values.get(kind, {}).items()
                if word not in words
            ]
            if kind in columns and not values.get(kind):
                mistakes.append(f"[values.{kind}] must say what the words of the source mean.")
        defaults = source.get("defaults", {})
        _refuse_unknown(
            "[defaults]",
            defaults,
            frozenset({"severity", "actor_kind", "scale"}),
            mistakes,
        )
        severity = defaults.get("severity", str(Severity.MEDIUM))
        if severity not in _WORDS["severity"]:
            mistakes.append(f"[defaults] severity = {severity!r} is not a severity.")
        actor_kind = defaults.get("actor_kind", "unknown")
        if actor_kind not in {str(kind) for kind in ActorKind}:
            mistakes.append(f"[defaults] actor_kind = {actor_kind!r} is not known.")
        scale = str(defaults.get("scale", "csat_1_5"))
        if scale not in FILE_SCALES:
            mistakes.append(
                f"[defaults] scale = {scale!r} is none of {', '.join(FILE_SCALES)}: of ratings on"
                " another scale no figure knows which are good."
            )
        create = _create(source.get("create"), mistakes)
        layout = _layout(source.get("file", {}), mistakes)
        if mistakes:
            raise MappingError(name, mistakes)
        return cls(
            source=source,
            rows=str(rows),
            columns=dict(columns),
            values={kind: dict(words) for kind, words in values.items()},
            unknown=frozenset(source.get("unknown", ("",))) | {""},
            formats=formats,
            formats_of=formats_of,
            zone=zone,
            severity=severity,
            actor_kind=actor_kind,
            scale=scale,
            create=create,
            final=dict(source.get("final", {})),
            file=layout,
        )


def _is_text(said: object) -> bool:
    return isinstance(said, str)


def _is_texts(said: object) -> bool:
    return isinstance(said, (list, tuple)) and all(map(_is_text, said))


def _is_table(of: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda said: isinstance(said, dict) and all(map(of, said.values()))


_ANY = _is_table(lambda said: True)
#: What stands where in a mapping, by its path; what must be named besides is looked at behind it.
_SHAPES: dict[str, tuple[Callable[[object], bool], str]] = {
    "rows": (_is_text, "a text"),
    "unknown": (_is_texts, "a list of texts"),
    **dict.fromkeys(("file", "time", "create"), (_ANY, "a table")),
    **dict.fromkeys(("columns", "defaults", "final"), (_is_table(_is_text), "a table of texts")),
    "values": (_is_table(_is_table(_is_text)), "a table of tables of texts"),
    "time.zone": (_is_text, "a text"),
    "time.formats": (_is_texts, "a list of texts"),
    "time.columns": (_is_table(_is_texts), "a table of lists of texts"),
    **dict.fromkeys(("create.domain", "create.name", "create.zone"), (_is_text, "a text")),
    "create.hours": (_is_table(lambda said: isinstance(said, list)), "a table of lists"),
}


def _inside(source: Dictionary[str, Any], where: str) -> object:
    """What stands at a path; None where nothing does, or what is above it is no table."""
    said: object = source
    for name in where.split("."):
        said = said.get(name) if isinstance(said, dict) else None
    return said


def _refuse_unknown(
    where: str, given: Dictionary[str, Any], known: frozenset[str], mistakes: list[str]
) -> None:
    mistakes += [
        f"{where} has no {name!r}; it may hold {', '.join(sorted(known))}."
        for name in given
        if name not in known
    ]


def _zone(name: object, mistakes: list[str]) -> ZoneInfo:
    try:
        return ZoneInfo(str(name or ""))
    except (KeyError, ValueError, OSError):
        mistakes.append(
            f'[time] zone must be a time zone, for example "UTC" or "Europe/Berlin", not {name!r}.'
        )
        return ZoneInfo("UTC")


def _layout(source: Dictionary[str, Any], mistakes: list[str]) -> Layout:
    _refuse_unknown("[file]", source, _FILE, mistakes)
    encoding, delimiter = source.get("encoding", ""), source.get("delimiter", ",")
    header_row = source.get("header_row", 1)
    if encoding and encoding not in ENCODINGS:
        mistakes.append(f"[file] encoding = {encoding!r} is not one of {', '.join(ENCODINGS)}.")
    if delimiter not in DELIMITERS:
        listed = " ".join(map(repr, DELIMITERS))
        mistakes.append(f"[file] delimiter = {delimiter!r} is not one of {listed}.")
    if not isinstance(header_row, int) or not 1 <= header_row <= 100:
        mistakes.append(f"[file] header_row = {header_row!r} is not a row from 1 to 100.")
    if mistakes:
        return Layout()
    return Layout(encoding, delimiter, str(source.get("sheet", "")), header_row)


def _format_mistake(form: object) -> str:
    """Why a way of writing dates cannot be used; empty where it can."""
    if form == "iso":
        return ""
    if not isinstance(form, str) or "%" not in form:
        return 'a format is "iso" or written with %d, %m, %Y, %H, %M …'
    try:
        datetime.strptime(datetime(2026, 3, 2, tzinfo=UTC).strftime(form), form)  # noqa: DTZ007 - only tried
    except ValueError as error:
        return str(error)
    return ""


def _create(source: Dictionary[str, Any] | None, mistakes: list[str]) -> Create | None:
    if source is None:
        return None
    _refuse_unknown("[create]", source, _CREATE, mistakes)
    if not source.get("domain"):
        mistakes.append('[create] must name the domain, for example domain = "it".')
    zone = str(source.get("zone", "UTC"))
    _zone(zone, mistakes)
    key = str(source.get("domain", ""))
    return Create(
        domain=key,
        name=str(source.get("name", key.upper())),
        zone=zone,
        hours=dict(source.get("hours", {})),
        capabilities=bool(source.get("capabilities", False)),
    )


@dataclass(slots=True)
class Row:
    """One row in this product's words; a value that is absent or unusable is not in it."""

    number: int
    ticket: str
    values: dict[str, Any] = field(default_factory=dict)
    #: Dates that can be read in two ways, one sentence each; kept as a flaw of the ticket.
    doubts: list[str] = field(default_factory=list)
    #: Of instants told to the minute or day only, which, by meaning.
    precision: dict[str, Precision] = field(default_factory=dict)
    #: Values that were left out, by column; kept as a flaw of the ticket.
    left_out: list[tuple[str, str]] = field(default_factory=list)
    #: Values that an earlier reading left out, by column, and that are read now.
    mended: list[tuple[str, str]] = field(default_factory=list)


class Unreadable(ValueError):
    """A value that means nothing here, with the reason."""


class ReadTwoWays(Unreadable):
    """A date that two of the stated formats read as different days."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """An instant of which something is to be said besides."""

    at: datetime
    #: Why it had to be chosen by rule (METRICS.md 1.2); empty where it says itself which it is.
    detail: str = ""
    precision: Precision = Precision.SECOND


class Columns:
    """Reads rows with a mapping. Remembers converted values: sources repeat themselves."""

    def __init__(
        self, mapping: Mapping, header: list[str], *, lost: Collection[tuple[str, str]] = ()
    ) -> None:
        """`lost` are cells that earlier readings of the source's files left out, by column."""
        missing = [name for name in mapping.columns.values() if name not in header]
        if missing:
            named = ", ".join(header)[:500]
            raise MappingError(
                "",
                [f"The file has no column {name!r}; it has {named}." for name in missing],
            )
        self._mapping = mapping
        self._lost = frozenset(lost)
        self._ticket = mapping.columns["ticket"]
        self._required = REQUIRED[mapping.rows]
        #: The ticket's name is looked at before the rest.
        self._needed = frozenset(self._required[1:])
        #: Meaning, column and what was seen in it.
        self._columns: list[tuple[str, str, dict[str, Any]]] = [
            (meaning, column, {})
            for meaning, column in mapping.columns.items()
            if meaning != "ticket"
        ]
        ways = {form: reader_of(form) for form in mapping.formats}
        self._readers = {
            meaning: [
                (form, ways.get(form) or reader_of(form))
                for form in mapping.formats_of.get(meaning, mapping.formats)
            ]
            for meaning in INSTANTS
        }
        #: Source words for capabilities, by slug: the names of those an import creates.
        self.capability_names: dict[str, str] = {}
        #: Values that look as if UTF-8 had been read as another encoding, by column.
        self.mojibake: Counter[str] = Counter()

    def read(self, raw: Dictionary[str, Any], number: int) -> tuple[Row | None, list[Problem]]:
        """Read one row. None where the row is refused; problems say which field and why."""
        ticket = _text(raw.get(self._ticket))
        if reason := self._no_ticket(ticket):
            return None, [Problem(number, printable(ticket, 200), self._ticket, printable(ticket),
                                  reason)]  # fmt: skip
        problems: list[Problem] = []
        row = Row(number, ticket)
        for meaning, column, seen in self._columns:
            said = raw.get(column)
            if said is None or said == "":
                continue
            if type(said) is str and said in seen:
                value = seen[said]
            else:
                said, value = self._fresh(meaning, column, said, seen)
            if value is None:
                continue
            if isinstance(value, (Unreadable, Doubt)):
                problems += self._in_doubt(row, meaning, column, said, value)
            else:
                row.values[meaning] = value
        if self._mapping.rows == EVENTS:
            problems += self._place_value(row)
        if problems or not row.values.keys() >= self._needed:
            problems += self._missing(row, problems)
            if any(p.refused for p in problems):
                return None, problems
        if self._lost:
            row.mended += self._mended(row, raw)
        return row, problems

    def _mended(self, row: Row, raw: Dictionary[str, Any]) -> list[tuple[str, str]]:
        """Cells of a row that can be read, and that an earlier mapping left out."""
        found = []
        for meaning, column, _ in self._columns:
            if meaning in row.values:
                cell = raw.get(column)
                text = cell.isoformat(" ") if isinstance(cell, datetime) else str(cell)
                said = (printable(text), str(row.values[meaning]))
                found += [(column, one) for one in said if (column, one) in self._lost]
        return found

    def _fresh(
        self, meaning: str, column: str, said: object, seen: dict[str, Any]
    ) -> tuple[str, Any]:
        """What a cell says and what that is here; remembered where it may come again."""
        if isinstance(said, datetime) and meaning in INSTANTS:
            return said.isoformat(" "), self._placed(said)
        text = said if isinstance(said, str) else _text(said)
        value = self._convert(meaning, text.strip())
        if not text.isascii() and MOJIBAKE.search(text):
            self.mojibake[column] += 1
        elif len(seen) < _REMEMBERED and len(text) <= _WORTH_REMEMBERING:
            seen[text] = value  # bounded memory, whatever the file repeats
        return text, value

    def _in_doubt(
        self, row: Row, meaning: str, column: str, said: str, value: Unreadable | Doubt
    ) -> list[Problem]:
        """Put down what cannot be used, or only by rule."""
        if isinstance(value, Doubt):
            row.values[meaning] = value.at
            if value.detail:
                row.doubts.append(f"{column}: {value.detail}")
            if value.precision:
                row.precision[meaning] = value.precision
            return []
        refused = meaning in self._required
        shown = printable(said)
        if isinstance(value, ReadTwoWays):
            row.doubts.append(f"{column}: {printable(said, 60)} {value}")
        elif not refused:
            row.left_out.append((column, shown))
        return [Problem(row.number, row.ticket, column, shown, str(value), refused=refused)]

    def _no_ticket(self, ticket: str) -> str:
        """Why a row's ticket cannot be its name; empty where it can."""
        if ticket in self._mapping.unknown:
            return "empty: whose row is this?"
        if len(ticket) > 200:
            return "longer than 200 characters"
        if not ticket.isprintable():
            for character in ticket:
                if unicodedata.category(character)[0] == "C":
                    return f"holds a character that cannot be seen (U+{ord(character):04X})"
        return ""

    def _missing(self, row: Row, known: list[Problem]) -> list[Problem]:
        """Needed values the row does not hold, where that is not known yet."""
        columns = [self._mapping.columns[n] for n in self._required[1:] if n not in row.values]
        found = {problem.field for problem in known}
        return [
            Problem(row.number, row.ticket, column, "", "empty, and needed")
            for column in columns
            if column not in found
        ]

    def _place_value(self, row: Row) -> list[Problem]:
        """Read an event row's value as what its type says it is; an event without it is refused."""
        kind = TOLD.get(row.values.get("type", ""))
        said = row.values.pop("value", "")
        if not kind:
            return []
        value = self._convert(kind, said)
        if value is None or isinstance(value, Unreadable):
            column = self._mapping.columns.get("value", "value")
            reason = str(value) if value is not None else f"empty: which {kind}?"
            return [Problem(row.number, row.ticket, column, printable(said), reason)]
        row.values[kind] = value
        return []

    def _convert(self, meaning: str, said: str) -> Any:
        """Return the value in this product's words, None where nothing is said, or Unreadable."""
        if said in self._mapping.unknown:
            return None
        if meaning in INSTANTS:
            return self._instant(meaning, said)
        if meaning in _WORDS:
            word = self._mapping.values.get(meaning, {}).get(said)
            return word or Unreadable(f"[values.{meaning}] does not say what this word means")
        if meaning == "score":
            return _score(said, self._mapping.scale)
        if UNSTORABLE.search(said):
            return Unreadable(
                "holds a NUL character" if "\x00" in said else "holds half of a character"
            )
        if meaning == "capability":
            return self._capability(said)
        longest = _LONGEST.get(meaning)
        if longest and len(said) > longest:
            return Unreadable(f"longer than {longest} characters")
        if meaning in ("agent", "actor", "requester") and len(said) > 200:
            return Unreadable("longer than 200 characters")
        return said

    def _capability(self, said: str) -> str | Unreadable:
        if len(said) > _LONGEST["capability"]:
            return Unreadable("longer than 150 characters")
        named = self._mapping.values.get("capability", {}).get(said)
        slug = slugify(named or said)[:80]
        if not slug:
            return Unreadable("has no letters or digits to make a name of")
        if slug not in self.capability_names:
            if len(self.capability_names) >= MOST_CAPABILITIES:
                return Unreadable(f"the file names more than {MOST_CAPABILITIES} capabilities")
            self.capability_names[slug] = named or said
        return slug

    def _instant(self, meaning: str, said: str) -> datetime | Doubt | Unreadable:
        found: datetime | None = None
        written = ""
        for form, read in self._readers[meaning]:
            try:
                at = read(said)
            except ValueError:
                continue
            if found is None or at == found:
                found, written = at, form
            elif (at.tzinfo is None) == (found.tzinfo is None):
                return ReadTwoWays(
                    f"can be read in two ways: as {found:%Y-%m-%d %H:%M} and as"
                    f" {at:%Y-%m-%d %H:%M}; state one order of day and month"
                )
        if found is None:
            formats = self._mapping.formats_of.get(meaning, self._mapping.formats)
            return Unreadable(f"not a date written as {' or '.join(formats)}")
        placed, precision = self._placed(found), precision_of(written, said)
        if not precision or isinstance(placed, Unreadable):
            return placed
        if isinstance(placed, Doubt):
            return replace(placed, precision=precision)
        return Doubt(placed, precision=precision)

    def _placed(self, at: datetime) -> datetime | Doubt | Unreadable:
        """The instant in UTC; a local time that comes twice is the first of the two."""
        if not FIRST_YEAR <= at.year <= LAST_YEAR:
            return Unreadable(f"a year outside {FIRST_YEAR} to {LAST_YEAR}")
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        zone = self._mapping.zone
        local = at.replace(tzinfo=zone)
        if zone.key == "UTC":
            return local.astimezone(UTC)
        placed = local.astimezone(UTC)
        before, behind = local.utcoffset(), local.replace(fold=1).utcoffset()
        if before == behind or before is None or behind is None:
            return placed
        if before > behind:
            why = f"{at:%Y-%m-%d %H:%M} comes twice in {zone.key}: read as the first"
        else:
            why = f"{at:%Y-%m-%d %H:%M} is skipped by the clocks of {zone.key}: moved on by the gap"
        return Doubt(placed, why)


#: Directives that stand for digits only, and how many.
_DIGITS = {"d": "1,2", "m": "1,2", "Y": "4", "H": "1,2", "M": "1,2", "S": "1,2"}
_FIELDS = {"d": 2, "m": 1, "Y": 0, "H": 3, "M": 4, "S": 5}
#: ISO 8601 with a time of day: a day alone has to be stated as a format of its own.
_ISO_TIME = re.compile(r"[T ]\d\d")


#: ISO 8601 to the minute, and to the second.
_ISO_MINUTE = re.compile(r"[T ]\d\d:?\d\d")
_ISO_SECOND = re.compile(r"[T ]\d\d:?\d\d:?\d\d")
#: Directives of a minute and of a second; %s, %c and the like hold both.
_MINUTES, _SECONDS = ("%M", "%R"), ("%S", "%T", "%X", "%c", "%r", "%s")


def precision_of(form: str, said: str) -> Precision:
    """How fine a date that was read by a format says its instant; an hour alone counts as a day."""
    if form == "iso":
        to_second = _ISO_SECOND.search(said) is not None
        to_minute = _ISO_MINUTE.search(said) is not None
    else:
        to_second = any(directive in form for directive in _SECONDS)
        to_minute = any(directive in form for directive in _MINUTES)
    if to_second:
        return Precision.SECOND
    return Precision.MINUTE if to_minute else Precision.DAY


def reader_of(form: str) -> Callable[[str], datetime]:
    """What reads dates of a format; it raises ValueError for others.

    An instant is without a zone where the format holds none: the mapping states it.
    """
    if form == "iso":
        return _read_iso
    pattern, fields, place = "", [], 0
    for match in re.finditer(r"%(.)|\s+", form):
        pattern += re.escape(form[place : match.start()])
        place = match.end()
        directive = match[1]
        if directive is None:
            pattern += r"\s+"
        elif directive in _DIGITS and directive not in fields:
            pattern += f"([0-9]{{{_DIGITS[directive]}}})"
            fields.append(directive)
        else:
            return partial(_read_format, form)
    pattern += re.escape(form[place:])
    if not {"d", "m", "Y"} <= set(fields):
        return partial(_read_format, form)
    return partial(_read_digits, re.compile(pattern), [_FIELDS[one] for one in fields])


def _read_iso(said: str) -> datetime:
    if not _ISO_TIME.search(said):
        raise ValueError("a day without a time of day")
    return datetime.fromisoformat(said)


def _read_format(form: str, said: str) -> datetime:
    return datetime.strptime(said, form)  # noqa: DTZ007 - the caller adds the mapping's zone


def _read_digits(pattern: re.Pattern[str], places: list[int], said: str) -> datetime:
    """What strptime reads of formats made of digits, ten times as fast."""
    match = pattern.fullmatch(said)
    if match is None:
        raise ValueError(said)
    parts = [1, 1, 1, 0, 0, 0]
    for place, digits in zip(places, match.groups(), strict=True):
        parts[place] = int(digits)
    year, month, day, hour, minute, second = parts
    return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - as above


def _score(said: str, scale: str) -> int | Unreadable:
    """A rating on a scale named like csat_1_5, whose last two parts are its ends."""
    low, high = (int(end) for end in scale.rsplit("_", 2)[-2:])
    try:
        score = float(said)
    except ValueError:
        return Unreadable("not a number")
    if not score.is_integer():
        return Unreadable("not a whole number")
    return int(score) if low <= score <= high else Unreadable(f"not between {low} and {high}")


def printable(said: str, longest: int = 300) -> str:
    """Text as it can be kept and shown: what PostgreSQL refuses stands as a replacement mark."""
    return UNSTORABLE.sub("\ufffd", said[:longest])


def _text(value: object) -> str:
    """Return what a JSON or CSV cell says as text; nothing as the empty string."""
    return "" if value is None else str(value).strip()
