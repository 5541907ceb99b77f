"""What comments are about, as far as words tell: rules and frequent phrases, by language. Pure.

Nothing leaves the installation and nothing is learnt: a theme is a list of phrases, and a comment
belongs to it when it holds one of them as whole words. Languages without word lists
(surveys/theme_rules.toml) are left to people.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_RULES = Path(__file__).with_name("theme_rules.toml")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_PHRASE = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*(?: [^\W_]+(?:['’-][^\W_]+)*)*")
#: A theme that fewer people speak of is none: it would point at them (METRICS.md 1.11).
ENOUGH_PEOPLE = 5
#: Words of a phrase, at least and at most.
SHORTEST, LONGEST = 2, 3
#: Of two phrases in almost the same comments one is enough.
ALIKE = 0.8
#: More suggestions of one capability than this are nobody's reading.
MOST = 12


@dataclass(frozen=True, slots=True)
class Language:
    """Word lists of one language."""

    key: str
    stop: frozenset[str]
    themes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A theme that enough people speak of: its name, its phrases and how many people."""

    language: str
    name: str
    phrases: tuple[str, ...]
    people: int


@dataclass(frozen=True, slots=True)
class Said:
    """A comment, and who wrote it by any identity."""

    by: int
    text: str


@cache
def languages() -> Mapping[str, Language]:
    """The languages with word lists, by key."""
    read = tomllib.loads(_RULES.read_text("utf-8"))
    return {
        key: Language(
            key,
            frozenset(lists["stop"].split()),
            {name: tuple(phrases) for name, phrases in lists["themes"].items()},
        )
        for key, lists in read.items()
    }


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return _WORD.findall(text.lower())


def language_of(text: str) -> str | None:
    """The language most of whose small words a text holds; None where it holds none, or as many."""
    said = words_of(text)
    counts = sorted(
        ((sum(word in one.stop for word in said), key) for key, one in languages().items()),
        reverse=True,
    )
    (most, key), *others = counts
    return key if most and (not others or others[0][0] < most) else None


def pattern_of(phrases: Sequence[str]) -> str:
    """The alternatives of a theme, for PostgreSQL and for Python alike; whole words around them.

    Raises ValueError for a phrase that is not words with single spaces between them.
    """
    for phrase in phrases:
        if not _PHRASE.fullmatch(phrase):
            raise ValueError(f"{phrase!r} is no phrase: words with single spaces between them.")
    if not phrases:
        raise ValueError("A theme needs a phrase.")
    return "|".join(phrase.replace(" ", r"\s+") for phrase in phrases)


def speaks_of(text: str, pattern: str) -> bool:
    """Whether a text holds one of the phrases of a pattern as whole words, in either case."""
    return _compiled(pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)(?<!\w)(?:{pattern})(?!\w)")


def suggest(comments: Iterable[Said]) -> list[Suggestion]:
    """Themes that five people or more speak of, rules first, then phrases by number of people."""
    by_language: dict[str, list[Said]] = defaultdict(list)
    for comment in comments:
        if (language := language_of(comment.text)) is not None:
            by_language[language].append(comment)
    found: list[Suggestion] = []
    for key in sorted(by_language):
        found += _suggested(languages()[key], by_language[key])
    return found


def _suggested(language: Language, comments: Sequence[Said]) -> list[Suggestion]:
    by_rule = []
    covered: list[set[int]] = []
    for name, phrases in language.themes.items():
        pattern = pattern_of(phrases)
        holding = {place for place, one in enumerate(comments) if speaks_of(one.text, pattern)}
        people = len({comments[place].by for place in holding})
        if people >= ENOUGH_PEOPLE:
            by_rule.append(Suggestion(language.key, name, phrases, people))
            covered.append(holding)
    by_phrase = []
    for people, phrase, holding in _frequent(language, comments):
        if not any(_alike(holding, other) for other in covered):
            by_phrase.append(Suggestion(language.key, phrase, (phrase,), people))
            covered.append(holding)
    by_rule.sort(key=lambda one: (-one.people, one.name))
    return (by_rule + by_phrase)[:MOST]


def _frequent(language: Language, comments: Sequence[Said]) -> list[tuple[int, str, set[int]]]:
    """People, phrase and comments of phrases that neither begin nor end with a small word."""
    holding: dict[str, set[int]] = defaultdict(set)
    for place, comment in enumerate(comments):
        for sentence in re.split(r"[^\w\s'’-]+", comment.text.lower()):
            said = words_of(sentence)
            for length in range(SHORTEST, LONGEST + 1):
                for start in range(len(said) - length + 1):
                    phrase = said[start : start + length]
                    if phrase[0] in language.stop or phrase[-1] in language.stop:
                        continue
                    if not any(word.isdecimal() for word in phrase):
                        holding[" ".join(phrase)].add(place)
    told = [
        (len({comments[place].by for place in places}), phrase, places)
        for phrase, places in holding.items()
        if len(places) >= ENOUGH_PEOPLE
    ]
    enough = [one for one in told if one[0] >= ENOUGH_PEOPLE]
    return sorted(enough, key=lambda one: (-one[0], -len(one[1]), one[1]))


def _alike(one: set[int], other: set[int]) -> bool:
    return len(one & other) >= ALIKE * min(len(one), len(other))
