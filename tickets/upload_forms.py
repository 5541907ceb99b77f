"""The form in which a person says what the columns of an uploaded file mean."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.validators import validate_slug

from portal.catalogue.models import Domain
from portal.catalogue.severity import SEVERITY_CHOICES
from tickets.canonical import State
from tickets.connectors import CONNECTORS
from tickets.files import DELIMITERS, ENCODINGS
from tickets.guessing import FORMATS, fitting, partly_fitting, texts_of
from tickets.mapping import (
    FILE_SCALES,
    INSTANTS,
    MEANINGS,
    TOLD,
    Columns,
    Mapping,
    MappingError,
    Problem,
    Row,
    reader_of,
)
from tickets.sampling import Sample

ROWS = (
    ("tickets", "a whole ticket"),
    ("versions", "a version of a ticket: one row for each update"),
    ("events", "something that happened to a ticket"),
)
_SIGN_NAMES = {",": "comma", ";": "semicolon", "\t": "tabulator", "|": "bar"}
_WORDS: dict[str, list[tuple[str, str]]] = {
    "state": [(state.value, state.value.replace("_", " ")) for state in State],
    "severity": [(str(value), str(label)) for value, label in SEVERITY_CHOICES],
    "type": [(word, word.replace("_", " ")) for word in TOLD],
}
#: Words of one column that are asked; a column with more is no list of words.
_MOST_WORDS = 60
_SHOWN_ROWS, _SHOWN_PROBLEMS = 8, 10


class FileForm(forms.Form):
    """Which file."""

    file = forms.FileField(label="File", help_text="CSV, JSON lines or XLSX, up to 200 MB.")


class LayoutForm(forms.Form):
    """How the file is written, where that was not seen rightly, and whose mapping to begin with."""

    encoding = forms.ChoiceField(
        required=False,
        label="Encoding",
        choices=[("", "UTF-8, or as the file's mark says"), *((name, name) for name in ENCODINGS)],
    )
    delimiter = forms.ChoiceField(
        required=False,
        label="Sign between cells",
        choices=[("", "as found"), *((sign, _SIGN_NAMES[sign]) for sign in DELIMITERS)],
    )
    sheet = forms.CharField(required=False, label="Sheet", max_length=100)
    like = forms.ChoiceField(required=False, label="Begin with the mapping of", choices=[])

    def __init__(self, *args: Any, sources: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "what the columns look like"), *((name, name) for name in sources)]
        self.fields["like"] = forms.ChoiceField(
            required=False, label="Begin with the mapping of", choices=choices
        )


class RecordsForm(forms.Form):
    """Whose raw records these are."""

    source = forms.SlugField(label="Name of the source", max_length=60)
    kind = forms.ChoiceField(
        label="Raw records of", choices=lambda: [(c.key, c.name) for c in CONNECTORS.values()]
    )
    stream = forms.CharField(
        required=False,
        max_length=60,
        label="Stream",
        help_text="Where the records do not name theirs; empty: as the file is named.",
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """What the rows looked at would become."""

    #: Meanings that some row holds, and the first rows' values of them.
    meanings: list[str]
    rows: list[list[str]]
    read: int
    usable: int
    problems: list[Problem]
    more_problems: int


class MappingForm(forms.Form):
    """What the columns mean. Its fields follow from the file and what is chosen in it."""

    source = forms.CharField(
        label="Name of the source",
        max_length=60,
        validators=[validate_slug],
        help_text="Letters, digits and hyphens. The same for later files of the same tool.",
    )
    rows = forms.ChoiceField(label="Each row is", choices=ROWS)
    zone = forms.CharField(
        label="Time zone of dates that name none",
        help_text="For example Europe/Berlin or UTC. It is not guessed.",
    )
    unknown = forms.CharField(
        required=False,
        label="Words that stand for nothing",
        help_text="With a bar between them: ? | null",
    )

    def __init__(
        self,
        data: Any = None,
        *,
        sample: Sample,
        mapping: Dictionary[str, Any],
        domains: list[Domain],
    ) -> None:
        super().__init__(data, initial=_initial(mapping))
        self._sample, self._mapping_before = sample, mapping
        self.mapping: Mapping | None = None
        columns = [("", "— not in the file —"), *((name, name[:60]) for name in sample.header)]
        for meaning, words in MEANINGS.items():
            self.fields[f"column_{meaning}"] = forms.ChoiceField(
                required=False, label=_label(meaning), help_text=words, choices=columns
            )
        for meaning in [name for name in MEANINGS if name in INSTANTS]:
            if column := self._chosen(f"column_{meaning}"):
                self.fields[f"dates_{meaning}"] = self._dates(meaning, column)
        self.fields["formats"] = forms.CharField(
            required=False,
            label="Other ways in which dates are written",
            help_text="One a line, with %d %m %Y %H %M %S, for columns without a way above.",
            widget=forms.Textarea(attrs={"rows": 2}),
        )
        self._words: dict[str, list[str]] = {}
        for kind, choices in _WORDS.items():
            self._add_words(kind, choices)
        self.fields["scale"] = forms.ChoiceField(
            required=False,
            label="Scale of the ratings",
            choices=[
                ("", "csat_1_5 where none is chosen"),
                *((name, name) for name in FILE_SCALES),
            ],
        )
        self.fields["severity"] = forms.ChoiceField(
            label="Severity where none is said", choices=_WORDS["severity"]
        )
        self.fields["domain"] = forms.ChoiceField(
            required=False,
            label="Add services the file names to",
            choices=[("", "none: only those in the catalogue count"),
                     *((one.key, one.name) for one in domains)],
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Check the mapping as a whole, as the import will."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        if self._sample.encodings:
            self.add_error(None, "The file is not UTF-8: say above in which encoding it is.")
        try:
            self.mapping = Mapping.parse(self._document(cleaned), name="of this page")
            Columns(self.mapping, self._sample.header)
        except MappingError as error:
            self.mapping = None
            for mistake in error.mistakes:
                self.add_error(None, mistake)
        return cleaned

    def preview(self) -> Preview:
        """What the first rows become with a mapping that is valid."""
        assert self.mapping is not None
        columns = Columns(self.mapping, self._sample.header)
        rows: list[Row] = []
        problems: list[Problem] = [
            Problem(one.number, "", "", "", one.reason) for one in self._sample.damaged
        ]
        usable = 0
        for number, raw in enumerate(self._sample.rows, start=1):
            row, found = columns.read(raw, number)
            problems += found
            if row is not None:
                usable += 1
                if len(rows) < _SHOWN_ROWS:
                    rows.append(row)
        meanings = [name for name in MEANINGS if any(name in row.values for row in rows)]
        return Preview(
            ["ticket", *meanings],
            [[row.ticket, *(_shown(row.values.get(name)) for name in meanings)] for row in rows],
            len(self._sample.rows) + len(self._sample.damaged),
            usable,
            problems[:_SHOWN_PROBLEMS],
            max(0, len(problems) - _SHOWN_PROBLEMS),
        )

    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields under headings, in the order in which they are thought about."""
        headings: dict[str, list[forms.BoundField]] = {
            "The file": [], "Columns": [], "Dates": [], "Words: state": [], "Words: severity": [],
            "Words: type": [], "Else": [],
        }  # fmt: skip
        for field in self:
            headings[_heading(field.name)].append(field)
        return [(heading, fields) for heading, fields in headings.items() if fields]

    def _chosen(self, name: str) -> str:
        value = self.data.get(name) if self.is_bound else self.initial.get(name)
        return str(value) if value in self._sample.header else ""

    def _dates(self, meaning: str, column: str) -> forms.ChoiceField:
        """The ways in which every date looked at can be read; a person chooses among several."""
        values = texts_of(self._sample.rows, column)
        fits = fitting(values) or partly_fitting(values)
        time = self._mapping_before.get("time", {})
        before = time.get("columns", {}).get(meaning, time.get("formats", ()))
        offered = list(dict.fromkeys([*fits, *(form for form in before if form not in FORMATS)]))
        choices = [("", "— say which —" if offered else "— as written below —")]
        choices += [(form, _way(form, values)) for form in offered]
        return forms.ChoiceField(
            required=False, label=f"{_label(meaning)}: dates in {column[:60]!r}", choices=choices
        )

    def _add_words(self, kind: str, choices: list[tuple[str, str]]) -> None:
        column = self._chosen(f"column_{kind}")
        words = set(self._mapping_before.get("values", {}).get(kind, {}))
        if column:
            words |= set(texts_of(self._sample.rows, column))
        elif self._chosen("column_type") and kind != "type":
            column = "value"
        if not column or len(words) > _MOST_WORDS:
            return
        self._words[kind] = sorted(words)
        for place, word in enumerate(self._words[kind]):
            self.fields[f"word_{kind}_{place}"] = forms.ChoiceField(
                required=False,
                label=word[:80],
                choices=[("", "— means nothing here —"), *choices],
                initial=self._mapping_before.get("values", {}).get(kind, {}).get(word, ""),
            )

    def _document(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """The mapping as tickets/mapping.py reads it."""
        layout = self._sample.layout
        file: dict[str, Any] = {"delimiter": layout.delimiter} if layout.delimiter != "," else {}
        file |= {"encoding": layout.encoding} if layout.encoding else {}
        file |= {"sheet": layout.sheet} if layout.sheet else {}
        formats = [line.strip() for line in cleaned["formats"].splitlines() if line.strip()]
        if self._sample.typed:
            formats = formats or ["iso"]
        ways = {m: [cleaned[f"dates_{m}"]] for m in sorted(INSTANTS) if cleaned.get(f"dates_{m}")}
        values = {
            kind: {
                word: cleaned[f"word_{kind}_{place}"]
                for place, word in enumerate(words)
                if cleaned.get(f"word_{kind}_{place}")
            }
            for kind, words in self._words.items()
        }
        capabilities = self._mapping_before.get("values", {}).get("capability")
        nothing = [word.strip() for word in cleaned["unknown"].split("|")]
        return {
            "title": f"By the page, for {cleaned['source']}",
            "rows": cleaned["rows"],
            "unknown": sorted({"", *nothing}),
            **({"file": file} if file else {}),
            "time": {"zone": cleaned["zone"].strip(), "formats": formats, "columns": ways},
            "columns": {m: cleaned[f"column_{m}"] for m in MEANINGS if cleaned[f"column_{m}"]},
            "values": values | ({"capability": capabilities} if capabilities else {}),
            "defaults": {
                **self._mapping_before.get("defaults", {}),
                "severity": cleaned["severity"],
                **({"scale": cleaned["scale"]} if cleaned["scale"] else {}),
            },
            **(
                {"create": {"domain": cleaned["domain"], "capabilities": True}}
                if cleaned["domain"]
                else {}
            ),
        }


def _initial(mapping: Dictionary[str, Any]) -> dict[str, Any]:
    """The form's values of a mapping, proposed or stored."""
    time = mapping.get("time", {})
    common = list(time.get("formats", ()))
    initial: dict[str, Any] = {
        "rows": mapping.get("rows", "tickets"),
        "zone": time.get("zone", ""),
        "unknown": " | ".join(word for word in mapping.get("unknown", ()) if word),
        "scale": mapping.get("defaults", {}).get("scale", ""),
        "severity": mapping.get("defaults", {}).get("severity", "medium"),
        "domain": mapping.get("create", {}).get("domain", ""),
    }
    for meaning, column in mapping.get("columns", {}).items():
        initial[f"column_{meaning}"] = column
        ways = time.get("columns", {}).get(meaning, common)
        if meaning in INSTANTS and len(ways) == 1:
            initial[f"dates_{meaning}"] = ways[0]
    if len(common) > 1:
        initial["formats"] = "\n".join(common)
    return initial


def _label(meaning: str) -> str:
    return meaning.replace("_", " ").replace(" at", " at").capitalize()


def _way(form: str, values: list[str]) -> str:
    """A way of writing dates, shown on a date of the file."""
    said = values[0] if values else ""
    try:
        read = reader_of(form)(said)
    except ValueError:
        return form
    return f"{said[:40]} is {read:%-d %B %Y, %H:%M}"


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return "" if value is None else str(value)[:80]


def _heading(name: str) -> str:
    return next((heading for prefix, heading in _HEADINGS if name.startswith(prefix)), "The file")


_HEADINGS = (
    ("column_", "Columns"), ("dates_", "Dates"), ("formats", "Dates"), ("zone", "Dates"),
    ("word_state", "Words: state"), ("word_severity", "Words: severity"),
    ("word_type", "Words: type"), ("scale", "Else"), ("severity", "Else"), ("domain", "Else"),
)  # fmt: skip
