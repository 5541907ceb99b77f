"""The kinds of core question a survey can ask: one class each, in one registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Band(StrEnum):
    """Where a score lies; reasons are offered to fit it."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class ScoreOutsideScale(ValueError):
    """A score that the question does not offer."""


@dataclass(frozen=True, slots=True)
class QuestionType:
    """A question answered with one whole number. `key` names its scale (METRICS.md M01, M03)."""

    key: str
    name: str
    #: Every score that can be given, worst first.
    scores: tuple[int, ...]
    #: The lowest score that is no longer bad, and the lowest that is good.
    middle_from: int
    high_from: int

    def check(self, score: int) -> int:
        """Return the score. Raises ScoreOutsideScale."""
        if score not in self.scores:
            raise ScoreOutsideScale(
                f"{score} is not one of {', '.join(map(str, self.scores))}; nothing was recorded."
            )
        return score

    def band(self, score: int) -> Band:
        """Where a score lies."""
        if score >= self.high_from:
            return Band.HIGH
        return Band.MIDDLE if score >= self.middle_from else Band.LOW


SATISFACTION_1_5 = QuestionType(
    key="csat_1_5", name="Satisfaction, 1 to 5", scores=(1, 2, 3, 4, 5), middle_from=3, high_from=4
)

EASE_1_7 = QuestionType(
    key="ces_ease",
    name="Made it easy, 1 to 7",
    scores=tuple(range(1, 8)),
    middle_from=4,
    high_from=5,
)
RECOMMENDING_0_10 = QuestionType(
    key="nps_0_10", name="Would recommend, 0 to 10", scores=tuple(range(11)), middle_from=7,
    high_from=9,
)  # fmt: skip

QUESTION_TYPES: Mapping[str, QuestionType] = {
    kind.key: kind for kind in (SATISFACTION_1_5, EASE_1_7, RECOMMENDING_0_10)
}
