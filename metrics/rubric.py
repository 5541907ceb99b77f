"""What a quality review asks about the handling of a ticket, and where an error may lie.

Each question is about the work, none about a person; an error points at the software and the
process that let it happen (METRICS.md 1.15: errors found in QA – usability, data integrity). Marks
are never added up to a score: there is nothing to rank by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

#: Changed with the questions, so that marks of two versions are never counted together.
VERSION = 1


class Mark(StrEnum):
    """An answer to a question of the rubric."""

    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "not_applicable"

    @property
    def label(self) -> str:
        """The answer in words."""
        return self.value.replace("_", " ")


class ErrorIn(StrEnum):
    """Where an error that was found lies."""

    NONE = ""
    USABILITY = "usability"
    DATA_INTEGRITY = "data_integrity"
    KNOWLEDGE = "knowledge"
    PROCESS = "process"

    @property
    def label(self) -> str:
        """The place in words."""
        return _PLACES[self]


_PLACES = {
    ErrorIn.NONE: "no error found",
    ErrorIn.USABILITY: "the software is easily misused",
    ErrorIn.DATA_INTEGRITY: "the data it showed were wrong",
    ErrorIn.KNOWLEDGE: "knowledge was missing or wrong",
    ErrorIn.PROCESS: "the process leads there",
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """A question of the rubric: how it is asked, and how its counts are told."""

    key: str
    question: str
    told: str


RUBRIC: tuple[Criterion, ...] = (
    Criterion("understood", "Was the problem understood before it was answered?", "understood"),
    Criterion("correct", "Was the answer correct and complete?", "correct and complete"),
    Criterion("clear", "Was it clear to the requester, with what happens next?", "clear"),
    Criterion(
        "process", "Are severity, category and course of the ticket right?", "recorded right"
    ),
    Criterion("careful", "Was it fair, and confidential where it had to be?", "handled with care"),
)


class NotMarked(ValueError):
    """A question has no answer, or one that is none of the rubric; `field` names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def marks_of(said: Mapping[str, object]) -> dict[str, str]:
    """The marks of a review, every question answered. Raises NotMarked."""
    unknown = sorted(set(said) - {criterion.key for criterion in RUBRIC})
    if unknown:
        raise NotMarked(unknown[0], "This is no question of the rubric.")
    for criterion in RUBRIC:
        if said.get(criterion.key) not in set(Mark):
            raise NotMarked(criterion.key, f"Answer with {', '.join(Mark)}: {criterion.question}")
    return {criterion.key: str(said[criterion.key]) for criterion in RUBRIC}
