"""Themes are suggested from words and frequent phrases, in languages with word lists, by rule."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from surveys.suggesting_themes import (
    MOST,
    Said,
    language_of,
    languages,
    pattern_of,
    speaks_of,
    suggest,
)


def said(*texts: str, by: int | None = None) -> list[Said]:
    return [Said(number if by is None else by, text) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("It took too long and nobody told me why.", "en"),
        ("Es hat zu lange gedauert und niemand hat mir etwas gesagt.", "de"),
        ("Trop long, et personne ne répond.", None),
        ("👍", None),
        ("", None),
    ],
)
def test_a_language_is_known_by_its_small_words(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_a_rule_is_a_theme_once_five_people_speak_of_it() -> None:
    waiting = [
        "It took too long to hear from you.",
        "I waited for a week for this.",
        "There was a delay of three days.",
        "This is so slow, why is that?",
    ]
    assert suggest(said(*waiting)) == []
    [theme] = suggest(said(*waiting, "We were waiting for an answer."))
    assert (theme.language, theme.name, theme.people) == ("en", "Waiting time", 5)
    assert "too long" in theme.phrases


def test_five_comments_of_one_person_are_no_theme() -> None:
    texts = ["It took too long, and the printer driver was old."] * 6
    assert suggest(said(*texts, by=7)) == []
    assert suggest(said(*texts))


def test_a_frequent_phrase_is_a_theme_and_almost_the_same_one_is_not_told_again() -> None:
    texts = [f"The printer driver crashed in room {n} and it was bad" for n in range(6)]
    names = [one.name for one in suggest(said(*texts))]
    assert len(names) == 1
    assert "printer driver" in names[0]


def test_languages_are_never_thrown_together() -> None:
    english = ["It took too long for me"] * 3
    german = ["Das hat zu lange gedauert und ich bin nicht zufrieden"] * 3
    assert suggest(said(*english, *german)) == []
    more = suggest(said(*english * 2, *german * 2))
    assert {(one.language, one.name) for one in more} >= {
        ("en", "Waiting time"),
        ("de", "Wartezeit"),
    }


def test_no_more_are_suggested_than_somebody_reads() -> None:
    texts = [f"the thing{a} part{a} of it" for a in range(40) for _ in range(5)]
    assert len(suggest(said(*texts))) == MOST


def test_small_words_and_numbers_neither_begin_nor_end_a_phrase() -> None:
    texts = ["the 4711 of the the and it"] * 9
    assert suggest(said(*texts)) == []


def test_every_listed_phrase_is_words_in_lower_case() -> None:
    for language in languages().values():
        assert language.stop
        for phrases in language.themes.values():
            pattern_of(phrases)
            assert [phrase.lower() for phrase in phrases] == list(phrases)


@pytest.mark.parametrize("phrase", ["", " too", "too  long", "a|b", "(x)", "x.*", "too long!"])
def test_what_is_no_phrase_is_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="no phrase"):
        pattern_of(["fine", phrase])


def test_whole_words_are_asked_for_in_either_case() -> None:
    pattern = pattern_of(["too long", "slow"])
    assert speaks_of("It took TOO\n long.", pattern)
    assert speaks_of("Slow!", pattern)
    assert not speaks_of("slowly, and too longish", pattern)


@pytest.mark.django_db
def test_postgresql_and_python_find_the_same_words() -> None:
    pattern = pattern_of(["too long", "didn't help", "größe", "slow"])
    alphabet = st.sampled_from(
        [
            "too",
            "long",
            " ",
            "\n",
            "didn't",
            "help",
            "Größe",
            "GRÖSSE",
            "slow",
            "SLOW",
            "x",
            ".",
            "_",
        ]
    )

    @given(st.lists(alphabet, max_size=8).map("".join))
    def same(text: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s ~* ('\\m(?:' || %s || ')\\M')", [text, pattern])
            assert cursor.fetchone() == (speaks_of(text, pattern),)

    same()
