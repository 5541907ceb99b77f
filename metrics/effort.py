"""Effort and recommendation: evaluations of answers that are no satisfaction (METRICS.md M03-M05).

Answers of one question are never counted under another: each evaluation takes the scales it is for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics import columns, intervals, scales
from metrics.evaluating import (
    NO_MEAN,
    SMALLEST_MEAN,
    Answers,
    Facts,
    answers,
    effective_size,
    fragile,
    mean_of_answers,
    mean_so_far,
    of_answers,
    of_the_silent,
    satisfied_in,
    trusted,
)
from metrics.kinds import Estimate, SoFar, unknown
from metrics.rows import Rows
from metrics.small_numbers import Shown, hidden_parts, proportion
from metrics.standing import Reliability

_NOTHING = "no answers are counted in this period yet"


def scales_side_by_side(facts: Facts) -> Estimate:
    """M03: the satisfied share of each satisfaction scale in use, side by side, never pooled.

    Each with its interval, answers and response rate; it is as reliable as the least of them.
    """
    rows = facts.rows(columns.SURVEYED)
    in_use = [
        name
        for number, name in enumerate(columns.SCALE_KEYS, start=1)
        if name in scales.SCALES
        and (rows["scale"][rows["score"] != columns.NO_SCORE] == number).any()
    ]
    found = {name: answers(facts, policy_denial=False, among=frozenset({name})) for name in in_use}
    counts = {name: len(one.rows) for name, one in found.items()}
    if not sum(counts.values()):
        return unknown(_NOTHING)
    smallest = int(facts.settings.suppressed_below)
    hidden = hidden_parts({name: n for name, n in counts.items() if n}, smallest)
    states = {trusted(facts, one.sent, counts[name]) for name, one in found.items()}
    sent = [one.sent for one in found.values()]
    beside: dict[str, float | int | None] = {}
    for name, one in found.items():
        beside |= {name: None} if name in hidden else _beside_others(facts, name, one)
    return Estimate(
        float(len(in_use)),
        sum(counts.values()),
        still_open=sum(one.still_open for one in found.values()),
        sent=None if None in sent else sum(each or 0 for each in sent),
        beside=beside,
        reliability=next(state for state in Reliability if state in states),
    )


def _beside_others(facts: Facts, name: str, found: Answers) -> dict[str, float | int | None]:
    """One scale's satisfied share with what stands around it; a share from ten answers on."""
    n, smallest = len(found.rows), int(facts.settings.suppressed_below)
    told: dict[str, float | int | None] = {name: None, f"{name}_answers": n}
    if found.sent:
        told[f"{name}_response_rate"] = n / found.sent
    if proportion(n, smallest) is not Shown.FULL:
        return told
    share = of_answers(facts, found.rows, satisfied_in(found.rows))
    limits = {f"{name}_from": share.interval.lower, f"{name}_to": share.interval.upper}
    return told | {name: share.value} | limits


def effort_share(facts: Facts) -> Estimate:
    """M04: the share who found it easy, by the wording that was asked."""
    found, wording = _effort(facts)
    rows = found.rows
    if wording is None:
        return Estimate(None, 0, why=_NOTHING, sent=found.sent, still_open=found.still_open)
    around = found.around(lambda so_far: SoFar(int(_easy(so_far, wording).sum()), len(so_far)))
    if not len(rows):
        return Estimate(None, 0, why=_NOTHING, **around)
    found_easy = _easy(rows, wording)
    n, easy = len(rows), int(found_easy.sum())
    told = of_answers(facts, rows, found_easy)
    return Estimate(
        told.value,
        n,
        easy,
        told.interval,
        told.effective,
        flags=fragile(facts, easy, n) + told.flags,
        reliability=trusted(facts, found.sent, n),
        beside=of_the_silent(found, easy, told),
        **around,
    )


def _easy(rows: Rows, wording: scales.EffortWording) -> NDArray[np.bool_]:
    """Which answers to one wording say that it was easy."""
    return np.isin(rows["score"], sorted(wording.easy))


def effort_mean(facts: Facts) -> Estimate:
    """M04: the mean on the wording's own scale, and as percent of the greatest ease (POMP)."""
    found, wording = _effort(facts)
    n = len(found.rows)
    around = found.around(mean_so_far)
    if n < SMALLEST_MEAN or wording is None:
        return Estimate(None, n, why=NO_MEAN, **around)
    told = mean_of_answers(facts, found.rows, *wording.bounds)
    return Estimate(
        told.value,
        n,
        interval=told.interval,
        effective=told.effective,
        flags=told.flags,
        reliability=trusted(facts, found.sent, n),
        beside={"ease_pomp": wording.ease_pomp(told.value)},
        **around,
    )


def _effort(facts: Facts) -> tuple[Answers, scales.EffortWording | None]:
    found = answers(facts, policy_denial=False, among=frozenset(columns.EFFORT_SCALES))
    if not len(found.so_far):
        return found, None
    key = columns.SCALE_KEYS[int(found.so_far["scale"][0]) - 1]
    return found, columns.EFFORT_SCALES[key]


def recommendation(facts: Facts) -> Estimate:
    """M05: promoters less detractors, -100 to 100, from ten answers on."""
    found = answers(facts, policy_denial=False, among=frozenset({columns.RECOMMENDING}))
    n = len(found.rows)
    around = found.around(_score_so_far)
    if n < SMALLEST_MEAN:
        return Estimate(None, n, why=f"shown from {SMALLEST_MEAN} answers on", **around)
    score = _net_promoter(found.rows)
    scores = found.rows["score"]
    effective = effective_size(found.rows, ((scores >= 9) * 1.0 - (scores <= 6)).astype(np.float64))
    counts = score.promoters, score.passives, score.detractors
    counted = intervals.NetPromoter(*(count * effective / n for count in counts))
    return Estimate(
        score.score,
        n,
        interval=counted.interval,
        effective=effective,
        reliability=trusted(facts, found.sent, n),
        beside={
            "promoters": score.promoters,
            "passives": score.passives,
            "detractors": score.detractors,
            "margin": counted.margin,
        },
        **around,
    )


def _net_promoter(rows: Rows) -> intervals.NetPromoter:
    return scales.net_promoter(int(value) for value in rows["score"])


def _score_so_far(rows: Rows) -> SoFar | None:
    n = len(rows)
    return SoFar(None, n, _net_promoter(rows).score) if n >= SMALLEST_MEAN else None
