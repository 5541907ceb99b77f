"""Every domain's wording is whole in every language, and a faulty file is refused."""

from __future__ import annotations

import pytest

from surveys.question_types import QUESTION_TYPES, Band, ScoreOutsideScale
from surveys.wording import FOLDER, LANGUAGES, FaultyWording, domain_keys, parse, wording_of


def test_the_five_domains_and_the_general_wording_are_there() -> None:
    expected = {"it", "hr", "legal", "finance", "facilities", "general"}
    assert domain_keys() == expected


@pytest.mark.parametrize("key", sorted(domain_keys()))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_wording_is_whole(key: str, language: str) -> None:
    wording = wording_of(key, language=language)
    assert wording.question.endswith("?")
    assert list(wording.scale) == list(wording.question_type.scores)
    assert len(set(wording.scale.values())) == len(wording.scale)
    for band in Band:
        assert len(wording.reasons[band]) >= 2
    assert "{" not in wording.who_sees


def test_a_domain_without_a_file_and_no_domain_are_asked_in_general_words() -> None:
    assert wording_of("marine-biology") == wording_of("general") == wording_of(None)


def test_reasons_fit_the_score() -> None:
    it = wording_of("it")
    assert "not_working" in it.reasons_for(1)
    assert "partly" in it.reasons_for(3)
    assert it.reasons_for(4) == it.reasons_for(5)
    assert "not_working" not in it.reasons_for(5)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ('question_type = "csat_1_5"', "question_type"),
        ('question = "', "needs exactly"),
        ('    "Satisfied",\n', "scale"),
        ('works = "', "reasons differ"),
    ],
)
def test_a_file_that_lacks_something_is_refused_by_name(broken: str, told: str) -> None:
    text = (FOLDER / "it.toml").read_text()
    parse("it", text)
    start = text.index(broken)
    faulty = text[:start] + text[text.index("\n", start) + 1 :]
    with pytest.raises(FaultyWording, match=told):
        parse("it", faulty)


def test_a_score_outside_the_scale_is_refused() -> None:
    for kind in QUESTION_TYPES.values():
        assert kind.check(kind.scores[0]) == kind.scores[0]
        with pytest.raises(ScoreOutsideScale):
            kind.check(max(kind.scores) + 1)
