"""The kinds of evidence that may stand beside a metric: one list (METRICS.md 1.15).

A metric names its own in `metrics/definitions.py`; `metrics/evidence.py` fetches each.
"""

from __future__ import annotations

from enum import StrEnum


class Pair(StrEnum):
    """What is read beside a number."""

    COMMENTS = "comments"
    POLICY_COMMENTS = "policy_comments"
    CONTRADICTING_COMMENTS = "contradicting_comments"
    QUALITY_REVIEWS = "quality_reviews"
    OBSERVATIONS = "observations"
    ACCOUNT_OBSERVATIONS = "account_observations"
    ESCALATION_REASONS = "escalation_reasons"
    REOPEN_MESSAGES = "reopen_messages"
    REPEAT_CONTACTS = "repeat_contacts"
    FIRST_REPLIES = "first_replies"
    MANY_HANDS = "many_hands"
    MANY_TURNS = "many_turns"
    NOT_ASKED = "not_asked"
    ASKED_ALL_THE_SAME = "asked_all_the_same"
    UNDECIDED = "undecided"
    SHARED_REPORTS = "shared_reports"


#: Kinds that people write for a metric: what somebody observes may be about one of these figures.
OBSERVED = frozenset({Pair.OBSERVATIONS, Pair.ACCOUNT_OBSERVATIONS})
