"""The mapping file of a source: what columns mean, how dates are written, which word is which.

A mapping is TOML (tickets/mappings/ ships two). `Mapping.parse` checks it completely and names
every mistake at once; `Columns` reads one row with it, giving values in this product's words and a
`Problem` for each field that could not be used.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.text import slugify

from portal.catalogue.severity import Severity
from tickets.canonical import ActorKind, State

SHIPPED = Path(__file__).parent / "mappings"

#: What a row of a file is: a version of a ticket, a whole ticket, or an event.
VERSIONS, TICKETS, EVENTS = "versions", "tickets", "events"

#: Columns a mapping may name, and what each one means.
MEANINGS = {
    "ticket": "the ticket's number in the source",
    "at": "when this version of the ticket was written, or the event happened",
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
    "channel": "how they asked",
    "subject": "its subject",
    "score": "the rating",
    "remark": "the words beside the rating",
}
_INSTANTS = frozenset({"at", "opened_at", "first_response_at", "resolved_at", "rated_at"})
_REQUIRED = {
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
        "time",
        "columns",
        "values",
        "defaults",
        "final",
        "create",
    }
)
_CREATE = frozenset({"domain", "name", "zone", "hours", "capabilities"})
_SCALE = re.compile(r"[a-z]+_\d+_\d+")
#: As long as the narrowest column that may hold it; a longer value is a mistake in the file.
_LONGEST = {"group": 150, "channel": 40, "capability": 150, "requester_email": 254}


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
    formats: tuple[str, ...]
    zone: ZoneInfo
    severity: str
    actor_kind: str
    scale: str
    create: Create | None
    final: dict[str, str]

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
        mistakes: list[str] = []
        _refuse_unknown("a mapping", source, _TABLES, mistakes)
        rows = source.get("rows")
        if rows not in _REQUIRED:
            mistakes.append(f"rows must be one of {', '.join(_REQUIRED)}, not {rows!r}.")
        columns = source.get("columns", {})
        _refuse_unknown("[columns]", columns, frozenset(MEANINGS), mistakes)
        mistakes += [
            f"[columns] must name {needed}: {MEANINGS[needed]}."
            for needed in _REQUIRED.get(str(rows), ())
            if needed not in columns
        ]
        time = source.get("time", {})
        zone = _zone(time.get("zone"), mistakes)
        formats = tuple(time.get("formats", ()))
        if not formats:
            mistakes.append(
                '[time] formats must list how dates are written, for example ["%d/%m/%Y %H:%M"]'
                ' or ["iso"].'
            )
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
        if not _SCALE.fullmatch(scale):
            mistakes.append(f"[defaults] scale = {scale!r} names no ends, as csat_1_5 does.")
        create = _create(source.get("create"), mistakes)
        if mistakes:
            raise MappingError(name, mistakes)
        return cls(
            source=source,
            rows=str(rows),
            columns=dict(columns),
            values={kind: dict(words) for kind, words in values.items()},
            unknown=frozenset(source.get("unknown", ("",))) | {""},
            formats=formats,
            zone=zone,
            severity=severity,
            actor_kind=actor_kind,
            scale=scale,
            create=create,
            final=dict(source.get("final", {})),
        )


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


class Unreadable(ValueError):
    """A value that means nothing here, with the reason."""


class Columns:
    """Reads rows with a mapping. Remembers converted values: sources repeat themselves."""

    def __init__(self, mapping: Mapping, header: list[str]) -> None:
        missing = [name for name in mapping.columns.values() if name not in header]
        if missing:
            raise MappingError(
                "",
                [
                    f"The file has no column {name!r}; it has {', '.join(header)}."
                    for name in missing
                ],
            )
        self._mapping = mapping
        self._columns = [
            (meaning, column) for meaning, column in mapping.columns.items() if meaning != "ticket"
        ]
        self._seen: dict[str, dict[str, Any]] = {meaning: {} for meaning in mapping.columns}
        self._required = _REQUIRED[mapping.rows]
        #: Source words for capabilities, by slug: the names of those an import creates.
        self.capability_names: dict[str, str] = {}

    def read(self, raw: Dictionary[str, Any], number: int) -> tuple[Row | None, list[Problem]]:
        """Read one row. None where the row is refused; problems say which field and why."""
        problems: list[Problem] = []
        ticket = _text(raw.get(self._mapping.columns["ticket"]))
        if ticket in self._mapping.unknown or len(ticket) > 200 or "\x00" in ticket:
            reason = "empty: whose row is this?"
            if ticket not in self._mapping.unknown:
                reason = "longer than 200 characters, or with a NUL character"
            ticket = ticket.replace("\x00", "?")
            column = self._mapping.columns["ticket"]
            problems.append(Problem(number, ticket[:200], column, ticket[:300], reason))
            return None, problems
        row = Row(number, ticket)
        for meaning, column in self._columns:
            said = raw.get(column)
            if not isinstance(said, str):
                said = _text(said)
            seen = self._seen[meaning]
            if said in seen:
                value = seen[said]
            else:
                value = self._convert(meaning, said.strip())
                if len(seen) < 50_000:  # bounded memory, whatever the file repeats
                    seen[said] = value
            if value is None:
                continue
            if isinstance(value, Unreadable):
                refused = meaning in self._required
                problems.append(
                    Problem(number, ticket, column, said[:300], str(value), refused=refused)
                )
            else:
                row.values[meaning] = value
        if self._mapping.rows == EVENTS:
            problems += self._place_value(row)
        problems += self._missing(row, problems)
        return (None if any(p.refused for p in problems) else row), problems

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
            return [Problem(row.number, row.ticket, column, said[:300], reason)]
        row.values[kind] = value
        return []

    def _convert(self, meaning: str, said: str) -> Any:
        """Return the value in this product's words, None where nothing is said, or Unreadable."""
        if said in self._mapping.unknown:
            return None
        if meaning in _INSTANTS:
            return self._instant(said)
        if meaning in _WORDS:
            word = self._mapping.values.get(meaning, {}).get(said)
            return word or Unreadable(f"[values.{meaning}] does not say what this word means")
        if meaning == "capability":
            return self._capability(said)
        if meaning == "score":
            return _score(said, self._mapping.scale)
        longest = _LONGEST.get(meaning)
        if longest and len(said) > longest:
            return Unreadable(f"longer than {longest} characters")
        if meaning in ("agent", "actor", "requester") and len(said) > 200:
            return Unreadable("longer than 200 characters")
        if "\x00" in said:
            return Unreadable("holds a NUL character")
        return said

    def _capability(self, said: str) -> str | Unreadable:
        if len(said) > _LONGEST["capability"]:
            return Unreadable("longer than 150 characters")
        named = self._mapping.values.get("capability", {}).get(said)
        slug = slugify(named or said)[:80]
        if not slug:
            return Unreadable("has no letters or digits to make a name of")
        self.capability_names.setdefault(slug, named or said)
        return slug

    def _instant(self, said: str) -> datetime | Unreadable:
        for form in self._mapping.formats:
            try:
                at = _read_instant(said, form)
            except ValueError:
                continue
            if at.tzinfo is None:
                at = at.replace(tzinfo=self._mapping.zone)
            return at.astimezone(UTC)
        return Unreadable(f"not a date written as {' or '.join(self._mapping.formats)}")


def _read_instant(said: str, form: str) -> datetime:
    """An instant as written; without a zone where the form holds none (the mapping states it)."""
    if form == "iso":
        return datetime.fromisoformat(said)
    return datetime.strptime(said, form)  # noqa: DTZ007 - the caller adds the mapping's zone


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


def _text(value: object) -> str:
    """Return what a JSON or CSV cell says as text; nothing as the empty string."""
    return "" if value is None else str(value).strip()
