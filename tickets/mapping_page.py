"""The mapping page of a source: its words in tables, what is chosen for each, drafts, versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from portal.catalogue.models import Capability
from tickets.canonical import Severity, State
from tickets.connectors import connector_of
from tickets.lens import NOTHING, Words, WordsError
from tickets.models import Connection, MappingSurvey, MappingVersion
from tickets.storable import storable
from tickets.surveying import PRIORITY, STATUS

#: Words shown of one kind, those that wait for somebody first: a form has its limits.
MOST_ROWS = 250
#: In a form: this word is known, and says nothing of a capability.
SAYS_NOTHING = "-"
#: What the fields of the form begin with.
_WORD, _ORDER = "word:", "order:"

STATE_WORDS = {
    State.NEW: "new",
    State.OPEN: "open",
    State.WAITING_ON_REQUESTER: "waiting for the requester",
    State.WAITING_ON_THIRD_PARTY: "waiting for a third party",
    State.RESOLVED: "resolved",
    State.CLOSED: "closed",
    State.WITHDRAWN: "withdrawn",
    State.DELETED: "deleted",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a word probably means, and how sure that is, in words."""

    meaning: str
    words: str
    sureness: str
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """One of the source's words."""

    name: str
    word: str
    #: None: not seen in the last 30 days.
    tickets: int | None
    examples: tuple[str, ...]
    chosen: str
    suggestion: Suggestion | None

    @property
    def waits(self) -> bool:
        """Whether nobody has said yet what it means."""
        return not self.chosen


@dataclass(frozen=True, slots=True)
class Choice:
    """One of our words."""

    value: str
    words: str


@dataclass(frozen=True, slots=True)
class Table:
    """The words of one kind."""

    kind: str
    title: str
    rows: list[Row]
    choices: list[Choice]
    #: Words that are left out because there are too many.
    more: int
    #: Of a kind that may name a capability: its place in the order, 0 for "not asked".
    place: int | None = None

    @property
    def order_name(self) -> str:
        """The name of the field for its place in the order."""
        return _ORDER + quote(self.kind, safe="")

    @property
    def waiting(self) -> int:
        """Words nobody has mapped."""
        return sum(row.waits for row in self.rows)


@dataclass(frozen=True, slots=True)
class Difference:
    """A word that means something else in one version than in the version before."""

    kind: str
    word: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Version:
    """A saved version and what it changed."""

    number: int
    saved_at: datetime
    saved_by: str
    differences: list[Difference]


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    connection: Connection
    #: The last survey of words: None where nobody asked; not answered while a worker looks.
    survey: MappingSurvey | None
    #: The preview that is shown, if any.
    preview: MappingSurvey | None
    #: Number of the version in force; 0: none.
    number: int
    tables: list[Table] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        """The number a saved draft gets."""
        return self.number + 1

    @property
    def waiting(self) -> int:
        """Words nobody has mapped, of all kinds that are asked."""
        return sum(table.waiting for table in self.tables if table.place != 0)

    @property
    def places(self) -> range:
        """Places in the order in which kinds are asked for a service."""
        return range(1, 1 + sum(table.place is not None for table in self.tables))

    @property
    def comparison(self) -> list[Comparison]:
        """The preview's figures beside the present ones."""
        found = self.preview.found if self.preview is not None else {}
        return compare(found) if found.get("then") else []


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a preview: what it would be, and what it is."""

    what: str
    then: int
    now: int | None

    @property
    def changed(self) -> bool:
        """Whether the draft changes it."""
        return self.now is not None and self.now != self.then


def page(
    connection: Connection,
    *,
    preview: MappingSurvey | None = None,
    document: Mapping[str, Any] | None = None,
) -> Page:
    """The page of a source; `document` is what the form holds, else the version in force."""
    surveys = MappingSurvey.objects.for_tenant(connection.tenant_id).filter(connection=connection)
    survey = surveys.filter(draft={}).first()
    newest = versions_of(connection).first()
    shown = Page(connection, survey, preview, newest.number if newest else 0)
    if document is None and preview is not None:
        document = preview.draft
    words = Words.parse(document if document is not None else newest.words if newest else {})
    seen = survey.found.get("words", []) if survey is not None else []
    if seen or newest is not None:
        shown.tables = _tables(connection, seen, words, first=newest is None and document is None)
    return shown


def versions_of(connection: Connection) -> Any:
    """Saved versions, the newest first."""
    return MappingVersion.objects.for_tenant(connection.tenant_id).filter(connection=connection)


def _tables(
    connection: Connection, seen: list[dict[str, Any]], words: Words, *, first: bool
) -> list[Table]:
    capabilities = list(
        Capability.objects.for_tenant(connection.tenant_id).order_by("name").values("slug", "name")
    )
    kinds = facet_kinds(connection, {entry["kind"] for entry in seen}, words)
    order = tuple(kinds) if first else words.order
    states = [Choice(state.value, STATE_WORDS[state]) for state in State]
    severities = [Choice(severity.value, severity.value) for severity in Severity]
    services = [Choice(SAYS_NOTHING, "says nothing about it")]
    services += [Choice(one["slug"], one["name"]) for one in capabilities]
    tables = [
        _table(STATUS, "Statuses", seen, _meanings(words.states), states),
        _table(PRIORITY, "Priorities", seen, _meanings(words.severities), severities),
    ]
    for kind in kinds:
        chosen = {
            word: slug or SAYS_NOTHING for word, slug in words.capabilities.get(kind, {}).items()
        }
        place = order.index(kind) + 1 if kind in order else 0
        title = kind.replace("_", " ").capitalize()
        tables.append(_table(kind, title, seen, chosen, services, place=place))
    return [table for table in tables if table.rows or table.kind in (STATUS, PRIORITY)]


def facet_kinds(connection: Connection, seen: set[str], words: Words) -> list[str]:
    """Kinds of words that may name a capability, those in force first."""
    ours = connector_of(connection.kind).facets
    others = sorted((seen | set(words.capabilities)) - {STATUS, PRIORITY} - set(ours))
    known = seen | set(words.capabilities)
    ordered = [*words.order, *ours, *others]
    return [kind for kind in dict.fromkeys(ordered) if kind in known]


def _meanings(words: Mapping[str, Any]) -> dict[str, str]:
    return {word: meaning.value for word, meaning in words.items()}


def _table(
    kind: str,
    title: str,
    seen: Iterable[Mapping[str, Any]],
    chosen: Mapping[str, str],
    choices: list[Choice],
    *,
    place: int | None = None,
) -> Table:
    names = {choice.value: choice.words for choice in choices}
    rows = [
        _row(kind, entry, chosen.get(entry["word"], ""), names)
        for entry in seen
        if entry["kind"] == kind
    ]
    found = {row.word for row in rows}
    rows += [
        Row(field_name(kind, word), word, None, (), meaning, None)
        for word, meaning in sorted(chosen.items())
        if word not in found
    ]
    rows.sort(key=lambda row: (not row.waits, -(row.tickets or 0), row.word))
    return Table(kind, title, rows[:MOST_ROWS], choices, max(0, len(rows) - MOST_ROWS), place)


def _row(kind: str, entry: Mapping[str, Any], chosen: str, names: Mapping[str, str]) -> Row:
    guess = entry["guess"]
    suggestion = None
    meaning = (guess["meaning"] or SAYS_NOTHING) if guess is not None else ""
    if guess is not None and meaning in names:
        suggestion = Suggestion(
            meaning,
            names[meaning],
            sureness(guess["confidence"]),
            guess["why"],
        )
    return Row(
        field_name(kind, entry["word"]),
        entry["word"],
        entry["tickets"],
        tuple(entry["examples"]),
        chosen,
        suggestion,
    )


def sureness(confidence: float) -> str:
    """How sure a suggestion is, in words."""
    if confidence >= 0.9:
        return "sure"
    return "likely" if confidence >= 0.6 else "a guess"


# --- the form ------------------------------------------------------------------------------------


def field_name(kind: str, word: str) -> str:
    """The name of a word's field, whatever characters are in it."""
    return f"{_WORD}{quote(kind, safe='')}:{quote(word, safe='')}"


def draft_of(connection: Connection, posted: Mapping[str, str], words: Words) -> dict[str, Any]:
    """The document a form describes: `words` as in force, changed where the form has a field."""
    states = _meanings(words.states)
    severities = _meanings(words.severities)
    capabilities = {kind: dict(slugs) for kind, slugs in words.capabilities.items()}
    places: dict[str, int] = {}
    for name, value in posted.items():
        if name.startswith(_ORDER):
            places[storable(unquote(name.removeprefix(_ORDER)))] = (
                int(value) if value.isdecimal() else 0
            )
        if not name.startswith(_WORD):
            continue
        kind, _, word = name.removeprefix(_WORD).partition(":")
        kind, word = storable(unquote(kind)), storable(unquote(word))
        meanings = {STATUS: states, PRIORITY: severities}.get(kind)
        if meanings is None:
            meanings = capabilities.setdefault(kind, {})
        if value:
            meanings[word] = NOTHING if value == SAYS_NOTHING else value
        else:
            meanings.pop(word, None)
    order = [kind for kind in words.order if kind not in places]
    order += sorted((k for k, place in places.items() if place), key=lambda k: (places[k], k))
    return {
        "states": states,
        "severities": severities,
        "capabilities": {k: v for k, v in capabilities.items() if v or k in order},
        "order": [kind for kind in order if kind in capabilities],
    }


def checked(connection: Connection, document: Mapping[str, Any]) -> Words:
    """The words of a draft that can be used. Raises WordsError naming every mistake."""
    words = Words.parse(document)
    slugs = set(Capability.objects.for_tenant(connection.tenant_id).values_list("slug", flat=True))
    unknown = (
        {slug for meanings in words.capabilities.values() for slug in meanings.values()}
        - slugs
        - {NOTHING}
    )
    if unknown:
        raise WordsError([f"There is no service {slug!r}." for slug in sorted(unknown)])
    return words


def with_suggestions(
    shown: Page, document: Mapping[str, Any], *, only_sure: bool
) -> dict[str, Any]:
    """The document with suggestions put in where nobody has chosen yet."""
    meanings: dict[str, dict[str, str]] = {
        STATUS: dict(document["states"]),
        PRIORITY: dict(document["severities"]),
        **{kind: dict(slugs) for kind, slugs in document["capabilities"].items()},
    }
    for table in shown.tables:
        for row in table.rows:
            suggestion = row.suggestion
            if suggestion is None or (only_sure and suggestion.sureness != "sure"):
                continue
            meanings.setdefault(table.kind, {}).setdefault(
                row.word, NOTHING if suggestion.meaning == SAYS_NOTHING else suggestion.meaning
            )
    return {
        "states": meanings.pop(STATUS),
        "severities": meanings.pop(PRIORITY),
        "capabilities": meanings,
        "order": document["order"],
    }


# --- previews and versions -----------------------------------------------------------------------


def compare(found: Mapping[str, Any]) -> list[Comparison]:
    """What the tickets would become, figure by figure, beside what they are now."""
    then, now = found["then"], found.get("now")
    rows = [
        Comparison(title, then[name], now[name] if now else None)
        for name, title in (
            ("complete", "Tickets that count"),
            ("incomplete", "Tickets in no figure: their severity or opening is not known"),
            ("unmapped_words", "Words nobody has mapped"),
            ("resolutions", "Resolutions"),
            ("reopens", "Reopens that count"),
            ("first_replies", "First replies by a person"),
        )
    ]
    for name, title, blank in (
        ("states", "State", ""),
        ("severities", "Severity", ""),
        ("capabilities", "Service", "none"),
        ("left_out", "Left out", ""),
    ):
        present = now[name] if now else {}
        for word in dict.fromkeys([*then[name], *present]):
            words = STATE_WORDS[State(word)] if name == "states" else word or blank
            rows.append(
                Comparison(
                    f"{title}: {words}",
                    then[name].get(word, 0),
                    present.get(word, 0) if now else None,
                )
            )
    return rows


def history(connection: Connection) -> list[Version]:
    """Every version with what it changed against the one before, the newest first."""
    stored = list(versions_of(connection))
    return [
        Version(
            version.number,
            version.saved_at,
            version.saved_by,
            differences(
                Words.parse(stored[place + 1].words) if place + 1 < len(stored) else Words(),
                Words.parse(version.words),
            ),
        )
        for place, version in enumerate(stored)
    ]


def differences(before: Words, after: Words) -> list[Difference]:
    """What the words of one version mean that they did not mean in another."""
    found: list[Difference] = []
    for (kind, old), (_, new) in zip(_by_kind(before, after), _by_kind(after, before), strict=True):
        for word in sorted(old.keys() | new.keys()):
            was, becomes = old.get(word, "not mapped"), new.get(word, "not mapped")
            if was != becomes:
                found.append(Difference(kind, word, was, becomes))
    if before.order != after.order:
        orders = [", ".join(words.order) or "nothing is asked" for words in (before, after)]
        found.append(Difference("order", "asked for a capability", *orders))
    return found


def _by_kind(words: Words, other: Words) -> list[tuple[str, dict[str, str]]]:
    kinds = sorted(words.capabilities.keys() | other.capabilities.keys())
    return [
        ("status", {w: STATE_WORDS[state] for w, state in words.states.items()}),
        ("priority", _meanings(words.severities)),
        *(
            (kind, {w: s or "says nothing" for w, s in words.capabilities.get(kind, {}).items()})
            for kind in kinds
        ),
    ]
