"""Proposing a mapping from a file's column names and some rows: what is certain, what is asked.

Pure. Nothing that can be read in two ways is guessed: whether the day or the month comes first, in
which zone it was, and what an unusual word means are questions, and the proposal is no mapping
until they are answered (tickets/mapping.py refuses it).
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tickets.connectors.base import SEVERITY_WORDS, STATE_WORDS, Guess, guess_among
from tickets.mapping import (
    EVENTS,
    FILE_SCALES,
    INSTANTS,
    MEANINGS,
    MOJIBAKE,
    REQUIRED,
    TICKETS,
    TOLD,
    VERSIONS,
    reader_of,
)
from tickets.sampling import Sample
from tickets.storable import UNSTORABLE

#: A column is taken for a meaning from `LIKELY` on, and mentioned from `ENOUGH` on; a word whose
#: meaning is less than `SURE` is asked.
ENOUGH, LIKELY, SURE = 0.6, 0.75, 0.9

#: From how much likeness on a name is taken for another with a mistake in it.
_ALIKE = 0.87

#: What columns are called, in English and German; the first ones are the usual names.
NAMES: dict[str, tuple[str, ...]] = {
    "ticket": (
        *("ticket id", "ticket number", "ticket", "number", "unique id", "issue key", "key"),
        *("case number", "case id", "incident number", "request id", "issue id", "ticket no"),
        *("ticketnummer", "ticket nr", "vorgangsnummer", "vorgang", "nummer", "fallnummer"),
        *("incident", "case", "id", "nr", "no", "reference", "referenz"),
    ),
    "at": (
        *("updated at", "sys updated at", "sys updated on", "last updated", "changed at"),
        *("modified at", "last modified", "updated", "modified", "changed", "timestamp"),
        *("event time", "occurred at", "when", "time", "geaendert am", "letzte aenderung"),
        *("aktualisiert am", "geaendert", "aktualisiert", "zeitstempel", "zeitpunkt"),
    ),
    "type": ("event type", "event", "action", "activity", "ereignis", "ereignisart", "aktion"),
    "value": ("new value", "value", "to", "new", "neuer wert", "wert"),
    "reason": ("escalation reason", "reason", "grund", "begruendung"),
    "sequence": ("sys mod count", "sequence", "version", "revision", "seq", "versionsnummer"),
    "opened_at": (
        *("opened at", "created at", "created on", "creation date", "opened", "created"),
        *("issue reported at", "reported at", "submitted at", "open date", "erstellt am"),
        *("eroeffnet am", "angelegt am", "gemeldet am", "erfasst am", "eingegangen am"),
        *("erstellt", "eroeffnet", "erstelldatum", "eingang"),
    ),
    "first_response_at": (
        *("first response at", "first reply at", "first responded at", "first response"),
        *("first response time", "issue responded", "responded at", "erste antwort am"),
        *("erste antwort", "erste reaktion am", "erste reaktion", "erstantwort"),
    ),
    "resolved_at": (
        *("resolved at", "solved at", "resolution date", "resolved on", "resolved", "solved"),
        *("time of resolution", "completed at", "closed at", "closed", "geloest am"),
        *("erledigt am", "behoben am", "abgeschlossen am", "geschlossen am", "geloest"),
    ),
    "rated_at": (
        *("rated at", "survey response date", "rating date", "answered at", "survey date"),
        *("bewertet am", "bewertungsdatum"),
    ),
    "state": ("incident state", "ticket status", "ticket state", "status", "state", "zustand"),
    "severity": (
        *("priority", "severity", "ticket priority", "urgency", "prio", "prioritaet"),
        *("schweregrad", "dringlichkeit"),
    ),
    "capability": (
        *("category", "service", "business service", "topic", "request type", "ticket type"),
        *("kategorie", "thema", "dienst", "leistung", "anliegen", "product", "produkt"),
    ),
    "group": (
        *("assignment group", "support group", "group", "team", "queue", "department"),
        *("gruppe", "abteilung", "warteschlange", "bearbeitergruppe"),
    ),
    "agent": (
        *("assigned to", "assignee", "agent name", "agent", "owner", "assigned agent"),
        *("bearbeiter", "bearbeiterin", "zustaendig", "zugewiesen an", "besitzer"),
    ),
    "actor": (
        *("sys updated by", "updated by", "changed by", "modified by", "actor", "author", "by"),
        *("geaendert von", "autor", "benutzer"),
    ),
    "requester": (
        *("requester", "requester id", "caller id", "caller", "customer id", "reporter"),
        *("customer", "customer name", "contact", "melder", "meldender", "anforderer"),
        *("antragsteller", "kunde", "anfragender", "kundennummer"),
    ),
    "requester_email": (
        *("requester email", "customer email", "caller email", "email address", "email"),
        *("e mail", "mail", "e mail adresse", "kunden e mail"),
    ),
    "problem": (
        *("problem id", "problem", "problem number", "problem record", "known error"),
        *("parent incident", "parent ticket", "problemnummer", "bekannter fehler"),
    ),
    "channel": (
        *("channel", "contact type", "channel name", "ticket channel", "source", "via"),
        *("kanal", "eingangskanal", "kontaktart", "quelle"),
    ),
    "subject": (
        *("subject", "short description", "title", "summary", "ticket subject", "betreff"),
        *("titel", "kurzbeschreibung", "zusammenfassung"),
    ),
    "score": (
        *("csat score", "score", "csat", "rating", "customer satisfaction rating"),
        *("satisfaction", "bewertung", "zufriedenheit", "sterne"),
    ),
    "remark": (
        *("customer remarks", "remark", "remarks", "comment", "comments", "feedback"),
        *("kommentar", "bemerkung", "anmerkung", "rueckmeldung"),
    ),
}

#: What rows of events call what happened.
TYPE_WORDS: dict[str, tuple[str, ...]] = {
    "opened": ("opened", "created", "create", "erstellt", "eroeffnet", "new"),
    "status": ("status", "status changed", "state", "transition", "statuswechsel", "status change"),
    "severity": ("priority", "severity", "priority changed", "prioritaet"),
    "capability": ("category", "category changed", "kategorie"),
    "group": ("group", "group changed", "gruppe", "queue changed"),
    "agent": ("assigned", "assignee", "assignment", "zugewiesen", "assignee changed"),
    "problem": ("problem", "problem linked", "problem id", "problem verknuepft"),
    "reply": ("reply", "answered", "agent reply", "antwort", "public reply"),
    "requester_message": ("requester message", "customer reply", "kundenantwort", "wrote"),
    "escalation": ("escalated", "escalation", "eskaliert", "eskalation"),
}

#: Words that stand for nothing said, where they are seen.
_NOTHING = ("?", "-", "--", "n/a", "na", "null", "none", "nan", "k. a.")
#: A column with more different words is no list of words.
_MOST_WORDS = 60
_SHOWN = 3

_DAYS = (
    *("%d.%m.%Y", "%m.%d.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%d-%m", "%Y/%d/%m"),
    *("%d.%m.%y", "%m.%d.%y", "%d/%m/%y", "%m/%d/%y", "%y-%m-%d", "%d-%m-%y", "%m-%d-%y"),
    *("%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d. %B %Y"),
)
_TIMES = (
    *("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S"),
    *(", %I:%M %p", "T%H:%M:%S"),
)
FORMATS = tuple(f"{day}{time}" for day in _DAYS for time in _TIMES)
_HAS_DIGITS = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Question:
    """Something a person has to say before the mapping can be used."""

    #: The part of the mapping it belongs to: `encoding`, `zone`, `rows`, or a meaning.
    about: str
    text: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """The column that probably means something, and how sure that is (0 to 1)."""

    column: str
    confidence: float
    why: str


@dataclass(slots=True)
class Guessed:
    """A proposed mapping with everything that is left to a person."""

    sample: Sample
    rows: str
    why: str
    columns: dict[str, ColumnGuess] = field(default_factory=dict)
    #: Columns that may mean something, and are not taken for it.
    perhaps: dict[str, ColumnGuess] = field(default_factory=dict)
    #: How the dates of a meaning's column are written, where all of them fit.
    formats: dict[str, list[str]] = field(default_factory=dict)
    #: Whether every instant names its offset from UTC.
    offsets: bool = False
    #: By kind of word: each of the source's words and what it probably means.
    values: dict[str, dict[str, Guess | None]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    scale: str = ""
    questions: list[Question] = field(default_factory=list)
    #: Things to know that need no answer.
    remarks: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether nothing has to be decided."""
        return not self.questions

    def source(self) -> dict[str, Any]:
        """The mapping as far as it is known, as tickets/mapping.py reads it."""
        time: dict[str, Any] = {}
        if self.offsets:
            time["zone"] = "UTC"
        common, own = self._shared_formats()
        if common or not own:
            time["formats"] = common
        if own:
            time["columns"] = own
        layout = self.sample.layout
        file: dict[str, Any] = {}
        if layout.encoding and not self.sample.encodings:
            file["encoding"] = layout.encoding
        if layout.delimiter != ",":
            file["delimiter"] = layout.delimiter
        return {
            "title": "",
            "rows": self.rows,
            "unknown": ["", *self.unknown],
            **({"file": file} if file else {}),
            "time": time,
            "columns": {meaning: guess.column for meaning, guess in self.columns.items()},
            "values": {
                kind: {said: guess.meaning for said, guess in words.items() if guess is not None}
                for kind, words in self.values.items()
            },
            "defaults": {"scale": self.scale} if self.scale else {},
        }

    def _shared_formats(self) -> tuple[list[str], dict[str, list[str]]]:
        """The formats of all columns, and those of columns written in a way of their own."""
        ways = Counter(tuple(forms) for forms in self.formats.values())
        if not ways:
            return [], {}
        common = list(ways.most_common(1)[0][0])
        own = {name: forms for name, forms in self.formats.items() if forms != common}
        return common, own

    def toml(self) -> str:
        """The proposal as a mapping file, with a comment wherever a person must decide."""
        return "\n".join(_Writer(self).lines()) + "\n"


def guess(sample: Sample) -> Guessed:
    """Propose a mapping for a file."""
    texts = {name: texts_of(sample.rows, name) for name in sample.header}
    found = Guessed(sample, TICKETS, "")
    fits = {name: fitting(texts[name]) for name in sample.header if _looks_like_dates(texts[name])}
    offered = _columns(sample.header, texts, set(fits))
    found.columns = {name: one for name, one in offered.items() if one.confidence >= LIKELY}
    found.perhaps = {name: one for name, one in offered.items() if one.confidence < LIKELY}
    _decide_rows(found, texts)
    _decide_dates(found, texts, fits)
    _decide_words(found, texts)
    _decide_score(found, texts)
    _note_file(found, texts)
    for meaning in REQUIRED[found.rows]:
        if meaning not in found.columns:
            choices = tuple(name for name in sample.header)
            text = f"Which column is {MEANINGS[meaning]}?"
            found.questions.append(Question(meaning, text, choices))
    return found


def plain(name: str) -> str:
    """A column's name as words: lower case, umlauts spelled out, signs and humps as blanks."""
    spelled = re.sub(r"(?<=[a-zäöü0-9])(?=[A-ZÄÖÜ])", " ", name).lower()
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        spelled = spelled.replace(umlaut, letters)
    spelled = unicodedata.normalize("NFKD", spelled)
    spelled = "".join(c if c.isascii() and c.isalnum() else " " for c in spelled
                      if not unicodedata.combining(c))  # fmt: skip
    return " ".join(spelled.split())


def likeness(name: str, meaning: str) -> tuple[float, str]:
    """How probably a column of this name has this meaning (0 to 1), and why."""
    said = plain(name)
    names = NAMES[meaning]
    if said in names:
        return 0.98 - 0.005 * names.index(said), "the usual name"
    best, why = 0.0, ""
    words = set(said.split())
    for known in names:
        parts = known.split()
        if len(known) > 2 and set(parts) <= words:
            score = 0.6 + 0.25 * len(parts) / len(words)
            if score > best:
                best, why = score, f"its name holds {known!r}"
        # Names of other lengths cannot be so like each other: most are not compared at all.
        likely = 2 * min(len(said), len(known)) >= _ALIKE * (len(said) + len(known))
        ratio = difflib.SequenceMatcher(None, said, known).ratio() if likely else 0.0
        if len(known) > 4 and ratio >= _ALIKE and 0.75 * ratio > best:
            best, why = 0.75 * ratio, f"its name is like {known!r}"
    return best, why


def _columns(
    header: Sequence[str], texts: Mapping[str, list[str]], dates: set[str]
) -> dict[str, ColumnGuess]:
    """One column for each meaning, the likeliest first; no column has two meanings."""
    offers = []
    for meaning in MEANINGS:
        for place, name in enumerate(header):
            score, why = likeness(name, meaning)
            if texts[name] and (name in dates) != (meaning in INSTANTS):
                score = 0.0  # its values say otherwise
            if score >= ENOUGH:
                offers.append((-score, place, meaning, name, why))
    found: dict[str, ColumnGuess] = {}
    taken: set[str] = set()
    for negative, _, meaning, name, why in sorted(offers):
        if meaning not in found and name not in taken:
            found[meaning] = ColumnGuess(name, round(-negative, 2), why)
            taken.add(name)
    return {meaning: found[meaning] for meaning in MEANINGS if meaning in found}


def _decide_rows(found: Guessed, texts: Mapping[str, list[str]]) -> None:
    """Whether a row is a ticket, a version of one, or something that happened to it."""
    ticket = found.columns.get("ticket")
    names = texts[ticket.column] if ticket else []
    repeated = len(names) - len(set(names))
    if "type" in found.columns and ("value" in found.columns or "opened_at" not in found.columns):
        found.rows, found.why = EVENTS, "a column says what happened"
    elif repeated and "at" in found.columns and "opened_at" in found.columns:
        found.rows = VERSIONS
        found.why = (
            f"{repeated:,} of {len(names):,} rows repeat a ticket, each at a time of its own"
        )
    else:
        found.rows = TICKETS
        found.why = "no ticket stands in two rows" if not repeated else "rows say of no time"
    if found.rows == TICKETS and repeated:
        found.questions.append(
            Question(
                "rows",
                f"{repeated:,} of {len(names):,} rows repeat a ticket, and no column says when a"
                " row was written. Which column is it?",
                tuple(texts),
            )
        )
    unwanted = {
        TICKETS: ("type", "value", "reason", "actor"),
        VERSIONS: ("type", "value", "reason", "first_response_at", "resolved_at", "rated_at",
                   "score", "remark"),
        EVENTS: ("state", "first_response_at", "resolved_at", "rated_at", "score", "remark",
                 "opened_at"),
    }  # fmt: skip
    for meaning in unwanted[found.rows]:
        found.columns.pop(meaning, None)
        found.perhaps.pop(meaning, None)
    if found.rows == TICKETS and "at" not in found.columns:
        found.columns.pop("state", None)


def _decide_dates(
    found: Guessed, texts: Mapping[str, list[str]], fits: Mapping[str, list[str]]
) -> None:
    """How each column of instants is written; what is open is asked."""
    zoned = []
    for meaning, guess_ in found.columns.items():
        if meaning not in INSTANTS:
            continue
        values = texts[guess_.column]
        forms = fits.get(guess_.column, [])
        zoned.append(forms == ["iso"] and all(_has_offset(value) for value in values))
        if forms and len({_order(form) for form in forms}) == 1:
            found.formats[meaning] = forms
        elif forms:
            found.questions.append(
                Question(
                    meaning,
                    f"The dates of {guess_.column!r} ({_some(values)}) can be read in more than one"
                    " way, and no row looked at decides it. What comes first?",
                    tuple(forms),
                )
            )
        elif values:
            found.questions.append(
                Question(
                    meaning,
                    f"The dates of {guess_.column!r} ({_some(values)}) are not all written in one"
                    " way. State every way that is meant; others are refused row by row.",
                    tuple(partly_fitting(values)),
                )
            )
    found.offsets = bool(zoned) and all(zoned)
    if not found.offsets:
        found.questions.append(
            Question("zone", "In which time zone did the system write dates that name none?")
        )


def _decide_words(found: Guessed, texts: Mapping[str, list[str]]) -> None:
    """What the source's words mean; the usual ones are known, the others are asked."""
    tables: dict[str, Mapping[Any, tuple[str, ...]]] = {
        "state": STATE_WORDS,
        "severity": SEVERITY_WORDS,
    }
    for kind, known in tables.items():
        if kind in found.columns:
            words = sorted(set(texts[found.columns[kind].column]))
            if len(words) > _MOST_WORDS:
                column = found.columns.pop(kind).column
                found.remarks.append(f"{column!r} holds too many words to be a {kind}.")
                continue
            found.values[kind] = {word: guess_among(word, known) for word in words}
    if "type" in found.columns:
        words = sorted(set(texts[found.columns["type"].column]))[:_MOST_WORDS]
        found.values["type"] = {word: _type_of(word) for word in words}
        for kind, known in tables.items():
            of_kind = {w for w, g in found.values["type"].items() if g and g.meaning == kind}
            said = {
                word
                for row in found.sample.rows
                if "value" in found.columns
                for word in texts_of([row], found.columns["value"].column)
                if str(row.get(found.columns["type"].column) or "").strip() in of_kind
            }
            if said:
                found.values[kind] = {word: guess_among(word, known) for word in sorted(said)}
    for kind, given in found.values.items():
        open_ = [
            word for word, meaning in given.items() if not meaning or meaning.confidence < SURE
        ]
        if open_:
            text = f"What do these words mean as {kind}? {', '.join(map(repr, open_[:20]))}"
            found.questions.append(Question(f"values.{kind}", text))
    said_nothing = {
        value.strip()
        for row in found.sample.rows
        for value in row.values()
        if isinstance(value, str) and len(value) < 12 and value.strip().lower() in _NOTHING
    }
    found.unknown = sorted(said_nothing)


def _type_of(word: str) -> Guess | None:
    said = plain(word)
    for meaning in TOLD:
        if said in TYPE_WORDS[meaning]:
            return Guess(meaning, 0.95, "the usual word")
    return None


def _decide_score(found: Guessed, texts: Mapping[str, list[str]]) -> None:
    """The scale of the ratings, where all of them lie on the usual one."""
    guess_ = found.columns.get("score")
    if guess_ is None:
        return
    numbers = [_number(value) for value in texts[guess_.column]]
    if not numbers or any(number is None for number in numbers):
        del found.columns["score"]
        found.remarks.append(f"{guess_.column!r} holds no numbers: it is not taken for a rating.")
        return
    low, high = min(n for n in numbers if n is not None), max(n for n in numbers if n is not None)
    if low >= 1 and high == 5:
        found.scale = "csat_1_5"
        return
    fit = [name for name in FILE_SCALES if low >= _ends(name)[0] and high <= _ends(name)[1]]
    if not fit:
        del found.columns["score"]
        found.remarks.append(
            f"{guess_.column!r} runs from {low:g} to {high:g}, which is on no scale that is read"
            f" ({', '.join(FILE_SCALES)}): it is not taken for a rating."
        )
        return
    found.questions.append(
        Question(
            "scale",
            f"The ratings run from {low:g} to {high:g}. What are the ends of their scale?",
            tuple(fit),
        )
    )


def _ends(scale: str) -> tuple[int, int]:
    low, high = scale.rsplit("_", 2)[-2:]
    return int(low), int(high)


def _note_file(found: Guessed, texts: Mapping[str, list[str]]) -> None:
    """Encoding and damage."""
    if found.sample.encodings:
        shown = "; ".join(f"{name}: {piece!r}" for name, piece in found.sample.encodings.items())
        found.questions.append(
            Question(
                "encoding",
                f"The file is not UTF-8. In which encoding is it written? The same piece: {shown}",
                tuple(found.sample.encodings),
            )
        )
    for name, values in texts.items():
        broken = next((value for value in values if MOJIBAKE.search(value)), None)
        if broken is not None:
            found.remarks.append(
                f"{name!r} holds letters that were read in a wrong encoding before this file was"
                f" written ({broken[:60]!r}). They are kept as they stand: export again if you can."
            )
    found.remarks += [
        f"Row {one.number} is no row: {one.reason}." for one in found.sample.damaged[:_SHOWN]
    ]


def texts_of(rows: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    """What a column says, where it says anything that can be kept: the import names the rest."""
    found = []
    for row in rows:
        value = row.get(name)
        text = value.isoformat() if isinstance(value, datetime) else str(value or "").strip()
        if text and text.lower() not in _NOTHING and not UNSTORABLE.search(text):
            found.append(text)
    return found


def _looks_like_dates(values: Sequence[str]) -> bool:
    """Whether half of what a column says, or more, could be a date."""
    some = values[:50]
    return bool(some) and sum(bool(fitting([value])) for value in some) * 2 >= len(some)


def partly_fitting(values: Sequence[str]) -> list[str]:
    """The formats that read some of the values, those that read most of them first."""
    each = Counter(form for value in list(dict.fromkeys(values))[:200] for form in fitting([value]))
    return [form for form, _ in each.most_common(6)]


def fitting(values: Sequence[str]) -> list[str]:
    """The formats that read every one of the values; ISO 8601 alone where it does."""
    if not values or not all(map(_HAS_DIGITS.search, values)):
        return []
    different = list(dict.fromkeys(values))
    if _reads("iso", different):
        return ["iso"]
    shapes = {_shape(value) for value in different}
    offered = _BY_SHAPE.get(shapes.pop(), ()) if len(shapes) == 1 else ()
    return [form for form in offered if _reads(form, different)]


def _shape(text: str) -> str:
    """A date without its digits and letters: what is read by a format has the format's own."""
    return re.sub(r"\s+", " ", re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text)))


def _reads(form: str, values: Iterable[str]) -> bool:
    read = _READERS[form]
    try:
        for value in values:
            read(value)
    except ValueError:
        return False
    return True


_BY_SHAPE: dict[str, list[str]] = defaultdict(list)
for _form in FORMATS:
    _BY_SHAPE[_shape(datetime(2026, 12, 31, 13, 45, 59).strftime(_form))].append(_form)  # noqa: DTZ001 - only its shape

_READERS = {form: reader_of(form) for form in ("iso", *FORMATS)}


def _order(form: str) -> str:
    """In which order year, month and day come: two orders are two readings."""
    return re.sub(r"[^dmy]", "", form.replace("%b", "m").replace("%B", "m").replace("%Y", "y")
                  .replace("%p", "").replace("%I", "").replace("%M", ""))  # fmt: skip


def _has_offset(value: str) -> bool:
    return datetime.fromisoformat(value).tzinfo is not None


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _some(values: Sequence[str]) -> str:
    return ", ".join(repr(value[:40]) for value in list(dict.fromkeys(values))[:_SHOWN])


def _quoted(value: object) -> str:
    """A TOML string or list: JSON's are the same, but for the signs neither shows."""
    written = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return re.sub("[\ud800-\udfff]", "\ufffd", written)


class _Writer:
    """Writes a proposal as TOML with the reasons and the questions beside it."""

    def __init__(self, guessed: Guessed) -> None:
        self._guessed = guessed
        self._source = guessed.source()
        self._asked = {question.about: question for question in guessed.questions}

    def lines(self) -> list[str]:
        """The whole file."""
        guessed = self._guessed
        lines = [
            "# A proposal: read it before it is used.",
            *(f"# Note: {_one_line(remark)}" for remark in guessed.remarks),
        ]
        if guessed.questions:
            lines.append(f"# {len(guessed.questions)} things are left to decide; see DECIDE below.")
        lines += ["", 'title = "Proposed mapping"', *self._decide("rows")]
        lines += [f"rows = {_quoted(guessed.rows)}  # {guessed.why}"]
        lines += [f"unknown = {_quoted(self._source['unknown'])}", "", *self._file()]
        lines += ["[time]", *self._decide("zone")]
        lines.append(
            'zone = "UTC"  # every date names its offset' if guessed.offsets else "# zone = "
        )
        formats = self._source["time"].get("formats", [])
        lines.append(f"formats = {_quoted(formats)}")
        own = self._source["time"].get("columns", {})
        open_ = [name for name in self._asked if name in INSTANTS and name in guessed.columns]
        if own or open_:
            lines += ["", "[time.columns]"]
            lines += [f"{name} = {_quoted(forms)}" for name, forms in own.items()]
            for name in open_:
                lines += [*self._decide(name), f"# {name} = [ ]"]
        lines += ["", "[columns]"]
        for meaning, guess_ in guessed.columns.items():
            sure = f"{guess_.confidence:.0%}, {guess_.why}"
            lines.append(f"{meaning} = {_quoted(guess_.column)}  # {sure}")
        lines += [
            f"# {meaning} = {_quoted(guess_.column)}  # perhaps: {guess_.confidence:.0%},"
            f" {guess_.why}"
            for meaning, guess_ in guessed.perhaps.items()
        ]
        for name in REQUIRED[guessed.rows]:
            if name not in guessed.columns:
                lines += [*self._decide(name), f"# {name} = "]
        rest = [n for n in guessed.sample.header
                if n not in {g.column for g in guessed.columns.values()}]  # fmt: skip
        if rest:
            lines.append(f"# Not used: {', '.join(map(_quoted, rest))}")
        lines += self._values()
        lines += ["", "[defaults]", *self._decide("scale")]
        if guessed.scale:
            lines.append(f"scale = {_quoted(guessed.scale)}")
        return lines

    def _file(self) -> list[str]:
        file = self._source.get("file", {})
        lines = [*self._decide("encoding")]
        lines += [f"{name} = {_quoted(value)}" for name, value in file.items()]
        if "encoding" in self._asked:
            lines.append("# encoding = ")
        return ["[file]", *lines, ""] if lines else []

    def _values(self) -> list[str]:
        lines: list[str] = []
        for kind, words in self._guessed.values.items():
            lines += ["", f"[values.{kind}]", *self._decide(f"values.{kind}")]
            for said, meaning in words.items():
                if meaning is not None and meaning.confidence >= SURE:
                    lines.append(f"{_quoted(said)} = {_quoted(meaning.meaning)}")
                elif meaning is not None:
                    lines.append(
                        f"{_quoted(said)} = {_quoted(meaning.meaning)}"
                        f"  # DECIDE: {meaning.confidence:.0%}, {meaning.why}"
                    )
                else:
                    lines.append(f"# {_quoted(said)} = ")
        return lines

    def _decide(self, about: str) -> list[str]:
        question = self._asked.get(about)
        if question is None:
            return []
        lines = [f"# DECIDE: {_one_line(question.text)}"]
        if question.choices:
            lines.append(f"#   {', '.join(_quoted(choice) for choice in question.choices[:12])}")
        return lines


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
