"""Comments are read by a classifier that suggests and by people who decide."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from metrics import columns
from portal.tenancy.context import acting
from surveys import reading_comments
from surveys.blind_reading import agreement, agreement_of
from surveys.models import Comment, CommentReading, Sentiment
from surveys.reading_comments import label, suggest, sweep
from tests import roles
from tests.factories import Cast
from tests.metrics.told import APRIL, MARCH, MAY, asked, commented, load, read

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
HAPPY = "It works again, thank you, that was great!"
ANGRY = "Still broken and nobody answers. Terrible, I am very disappointed."


def suggested(cast: Cast) -> int:
    with roles.as_role(roles.WORKER):
        return sweep(MAY)


def decide(cast: Cast, comment: Comment, sentiment: Sentiment, by: str = "person:1") -> None:
    with acting(cast.acme.pk):
        label(comment=comment, sentiment=sentiment, by_key=by, by_name="Olga", at=MAY)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HAPPY, Sentiment.POSITIVE),
        (ANGRY, Sentiment.NEGATIVE),
        ("The ticket was about the second floor.", Sentiment.UNCLEAR),
        ("Leider funktioniert es immer noch nicht, das ist sehr schlecht.", Sentiment.UNCLEAR),
    ],
)
def test_clear_words_are_suggested_and_other_languages_are_left_to_people(
    text: str, says: Sentiment
) -> None:
    assert suggest(text) is says


def test_contradictions_count_both_ways_and_the_unclear_are_left_out(cast: Cast) -> None:
    for score, text in [(5, HAPPY)] * 4 + [(5, ANGRY), (1, HAPPY), (1, ANGRY), (4, "Floor 2.")]:
        commented(cast, score, text)
    asked(cast, 5)
    assert suggested(cast) == 8
    assert suggested(cast) == 0
    told = read(cast, "score_comment_mismatch")
    assert (told.numerator, told.denominator) == (2, 7)
    assert told.left_out == {"comments that could not be classified": 1}


def test_a_persons_word_outweighs_the_suggestion_at_once_and_in_a_clean_block(cast: Cast) -> None:
    comment = commented(cast, 5, ANGRY)
    suggested(cast)
    with roles.as_role(roles.WORKER):
        columns.refresh(cast.acme)
    negative, positive = (columns.SENTIMENTS.index(word) + 1 for word in ("negative", "positive"))
    assert load(cast, columns.SURVEYED, MARCH, APRIL)["sentiment"].tolist() == [negative]
    decide(cast, comment, Sentiment.POSITIVE)
    assert load(cast, columns.SURVEYED, MARCH, APRIL)["sentiment"].tolist() == [positive]


def test_without_the_extra_nothing_is_suggested_and_nothing_fails(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    commented(cast, 5, HAPPY)

    def missing() -> None:
        raise reading_comments.NoClassifier("not installed")

    monkeypatch.setattr(reading_comments, "_tools", missing)
    assert suggested(cast) == 0
    assert read(cast, "score_comment_mismatch").value is None
    with acting(cast.acme.pk):
        assert not CommentReading.objects.exists()
        assert agreement(cast.acme.pk, MAY).labelled == 0


def test_on_real_remarks_it_agrees_with_a_person_more_than_four_times_in_five() -> None:
    if not SHARED.exists():
        pytest.skip("the shared data are not here: ../shared/data")
    with gzip.open(SHARED / "csat_survey_dev.csv.gz", "rt") as file:
        remarks = {row["Unique id"]: row["Customer Remarks"] for row in csv.DictReader(file)}
    words = {"P": Sentiment.POSITIVE, "N": Sentiment.NEGATIVE}
    with gzip.open(SHARED / "csat_mismatch_labels_dev.csv.gz", "rt") as file:
        labelled = [
            (suggest(remarks[row["Unique id"]]), words[row["label"]])
            for row in csv.DictReader(file)
            if row["stratum"] in ("HI", "LO") and row["label"] in words
        ]
    told = agreement_of([(s, [read] * 2) for s, read in labelled if s is not Sentiment.UNCLEAR])
    assert told.share is not None
    assert told.share > 0.8
