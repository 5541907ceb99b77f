"""What a figure of a period that is over was told as before: restatements beside it (1.8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from metrics import columns, words
from metrics.measure import Reader, Reading, Restated, Slice
from metrics.tracing import rests_on
from tickets.models import RestatedCount, Restatement

#: The promise whose decisions a kind of rows holds.
_PROMISES: Mapping[columns.Kind, Restatement.Promise] = {
    columns.FIRST_RESPONSES: Restatement.Promise.FIRST_RESPONSE,
    columns.MEANINGFUL_RESPONSES: Restatement.Promise.FIRST_MEANINGFUL,
    columns.RESOLUTION_PROMISES: Restatement.Promise.RESOLUTION,
}
#: How a decision stands in a slice that it came to, or left.
ELSEWHERE = "elsewhere"
_WORDS = {**dict(Restatement.Verdict.choices), ELSEWHERE: "decided elsewhere"}


def with_restatements(reading: Reading, cut: Slice, reader: Reader) -> Reading:
    """The reading with what of its period was decided otherwise before, the most frequent first.

    The restatements of a period are counted once, whatever is read of it.
    """
    promise = _promise(reading.key, cut)
    if promise is None:
        return reading
    items: Counter[tuple[str, str]] = Counter()
    latest: dict[tuple[str, str], datetime] = {}
    for one in reader.restated(cut):
        if one.promise == promise and any(sides := _sides(one, cut.severity)):
            change = _change(one, *sides)
            items[change] += one.items
            latest[change] = max(one.noticed_at, latest.get(change, one.noticed_at))
    return replace(
        reading,
        restated=tuple(
            Restated(was, now, number, latest[was, now].astimezone(UTC).isoformat())
            for (was, now), number in sorted(items.items(), key=lambda one: (-one[1], one[0]))
        ),
    )


def restatements(name: str, cut: Slice, reader: Reader, *, most: int) -> list[Restatement]:
    """What of a figure's period was decided otherwise before, the latest noticed first."""
    promise = _promise(name, cut)
    if promise is None:
        return []
    found = reader.restatements(cut).of_severity(cut.severity).filter(promise=promise)
    return list(found.select_related("ticket__connection").order_by("-noticed_at", "-id")[:most])


def change_in_words(one: Restatement, cut: Slice) -> tuple[str, str]:
    """How a decision stood in the slice, and how it stood there when that was noticed."""
    was, now = _change(one, *_sides(one, cut.severity))
    return _WORDS[was], _WORDS[now]


def restated_in_words(changes: Iterable[Restated]) -> str:
    """What was told otherwise before, as a list; empty where nothing was."""
    return ", ".join(
        f"{words.count(one.items, 'decision', 'decisions')} from {_WORDS[one.was]} to"
        f" {_WORDS[one.now]}"
        for one in changes
    )


def _promise(name: str, cut: Slice) -> Restatement.Promise | None:
    """The promise a figure counts; none of a segment: decisions do not say who people were."""
    kind = rests_on(name)
    return None if kind is None or cut.segment is not None else _PROMISES.get(kind)


def _change(one: Restatement | RestatedCount, was_in: bool, now_in: bool) -> tuple[str, str]:
    """Its verdicts as a slice counts them: what is decided elsewhere stands there."""
    decided = (Restatement.Verdict.MET, Restatement.Verdict.MISSED)
    return (
        ELSEWHERE if one.was in decided and not was_in else one.was,
        ELSEWHERE if one.now in decided and not now_in else one.now,
    )


def _sides(one: Restatement | RestatedCount, severity: str | None) -> tuple[bool, bool]:
    """Whether it stood, and stands, in the slice asked for."""
    return (
        one.was_in and severity in (None, one.was_severity),
        one.now_in and severity in (None, one.now_severity),
    )
