"""What people are asked, in their domain's words: reads and checks `surveys/domains/*.toml`.

A domain is one file, named by its key; `general.toml` serves domains without one, and events that
belong to none. Every file says the same things in the same languages. Whoever changes words that
people have been asked in says since when: `changed = 2026-10-01`, beside `question_type`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from surveys.question_types import QUESTION_TYPES, Band, QuestionType

FOLDER = Path(__file__).parent / "domains"
GENERAL = "general"
LANGUAGES = ("en", "de")
#: Until pages and mails are translated whole, people are asked in this one: no mixed sentences.
LANGUAGE = "en"

_WHO_SEES = {
    "en": (
        "Your rating enters the figures only together with at least four others, about the work of"
        " at least three people. Comments may be read by {seen_by} and by those responsible for"
        " the service, in such groups and without your name."
    ),
    "de": (
        "Ihre Bewertung geht nur zusammen mit mindestens vier weiteren, zur Arbeit von mindestens"
        " drei Personen, in die Zahlen ein. Kommentare können von {seen_by} und von den für den"
        " Dienst Verantwortlichen gelesen werden, in solchen Gruppen und ohne Ihren Namen."
    ),
}


class FaultyWording(ValueError):
    """A wording file that lacks something or says it in the wrong shape."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One domain's survey in one language."""

    domain_key: str
    language: str
    question_type: QuestionType
    question: str
    #: Asked on the page after the answer.
    comment_question: str
    #: One sentence: who will see the answer.
    who_sees: str
    #: Words of each score, worst first.
    scale: Mapping[int, str]
    #: Reason keys with their words, by where the score lies.
    reasons: Mapping[Band, Mapping[str, str]]
    #: The day since which people are asked in these words; None for the first ones. Courses begin
    #: anew there (METRICS.md M03).
    changed: date | None = None

    def reasons_for(self, score: int) -> Mapping[str, str]:
        """The reasons fitted to a score."""
        return self.reasons[self.question_type.band(score)]


def wording_of(domain_key: str | None, *, language: str = LANGUAGE) -> Wording:
    """Return a domain's wording, the general one where it has no file. Raises FaultyWording."""
    key = domain_key if domain_key in domain_keys() else GENERAL
    return _read(str(key))[language]


@cache
def domain_keys() -> frozenset[str]:
    """Every domain that has a wording of its own, and `general`."""
    return frozenset(path.stem for path in FOLDER.glob("*.toml"))


@cache
def _read(key: str) -> Mapping[str, Wording]:
    return parse(key, (FOLDER / f"{key}.toml").read_text(encoding="utf-8"))


def parse(key: str, text: str) -> Mapping[str, Wording]:
    """Read one file's text; return its wording by language. Raises FaultyWording."""
    content = tomllib.loads(text)
    kind = QUESTION_TYPES.get(content.pop("question_type", ""))
    if kind is None:
        raise FaultyWording(f"{key}: question_type is none of {', '.join(QUESTION_TYPES)}.")
    changed = content.pop("changed", None)
    if changed is not None and type(changed) is not date:
        raise FaultyWording(f"{key}: changed is a day, such as 2026-10-01.")
    if set(content) != set(LANGUAGES):
        raise FaultyWording(f"{key}: needs exactly the languages {', '.join(LANGUAGES)}.")
    wordings = {
        language: replace(_wording(key, language, kind, content[language]), changed=changed)
        for language in LANGUAGES
    }
    _same_reasons(key, wordings)
    return wordings


def _wording(key: str, language: str, kind: QuestionType, told: dict[str, Any]) -> Wording:
    place = f"{key}, {language}"
    expected = {"question", "comment_question", "seen_by", "scale", "reasons"}
    if set(told) != expected:
        raise FaultyWording(f"{place}: needs exactly {', '.join(sorted(expected))}.")
    for name in ("question", "comment_question", "seen_by"):
        _text(f"{place}, {name}", told[name])
    if not isinstance(told["scale"], list) or len(told["scale"]) != len(kind.scores):
        raise FaultyWording(f"{place}: scale needs {len(kind.scores)} words, worst first.")
    bands = told["reasons"]
    if set(bands) != set(Band) or not all(len(bands[band]) >= 2 for band in Band):
        raise FaultyWording(f"{place}: reasons need two or more each for low, middle and high.")
    for words in [*told["scale"], *(word for band in Band for word in bands[band].values())]:
        _text(place, words)
    return Wording(
        domain_key=key,
        language=language,
        question_type=kind,
        question=told["question"],
        comment_question=told["comment_question"],
        who_sees=_WHO_SEES[language].format(seen_by=told["seen_by"]),
        scale=dict(zip(kind.scores, told["scale"], strict=True)),
        reasons={band: dict(bands[band]) for band in Band},
    )


def _text(place: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise FaultyWording(f"{place}: {value!r} is not a text.")


def _same_reasons(key: str, wordings: Mapping[str, Wording]) -> None:
    """A reason is counted by its key, so every language offers the same ones."""
    first = wordings[LANGUAGES[0]]
    for wording in wordings.values():
        for band in Band:
            if list(wording.reasons[band]) != list(first.reasons[band]):
                raise FaultyWording(
                    f"{key}, {wording.language}: the {band} reasons differ from"
                    f" those in {first.language}."
                )
