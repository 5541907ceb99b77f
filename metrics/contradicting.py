"""Score against words: answers whose comment says something else (METRICS.md M08)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics import columns
from metrics.evaluating import Facts, answers, clustered, dissatisfied_in, satisfied_in
from metrics.kinds import Estimate
from metrics.rows import Rows
from metrics.standing import Reliability
from metrics.words import percent
from surveys.blind_reading import AGREEMENT_NEEDED, NEEDED, Agreement

POSITIVE = columns.SENTIMENTS.index("positive") + 1
NEGATIVE = columns.SENTIMENTS.index("negative") + 1
UNCLEAR = columns.SENTIMENTS.index("unclear") + 1


def contradicts(rows: Rows) -> NDArray[np.bool_]:
    """Which answers of one scale say one thing by score and another by words."""
    said, felt = satisfied_in(rows), rows["sentiment"]
    return np.asarray((said & (felt == NEGATIVE)) | (dissatisfied_in(rows) & (felt == POSITIVE)))


def mismatch(facts: Facts) -> Estimate:
    """M08: contradictions of all counted answers with a classified comment."""
    found = answers(facts, policy_denial=False)
    clear = found.rows[np.isin(found.rows["sentiment"], (POSITIVE, NEGATIVE))]
    unclear = int((found.rows["sentiment"] == UNCLEAR).sum())
    left_out = {"comments that could not be classified": unclear} if unclear else {}
    if not len(clear):
        return Estimate(None, 0, why="no comment of this period is classified", left_out=left_out)
    told = clustered(clear, contradicts(clear))
    n, x = told.n, told.satisfied
    agreement = facts.agreement()
    state, flags = _trusted(agreement)
    return Estimate(
        x / n,
        n,
        x,
        told.interval,
        told.effective_n,
        reliability=state,
        flags=flags,
        left_out=left_out,
        sent=found.sent,
        answered=len(found.rows),
        beside={
            "negative_found": agreement.sensitivity,
            "others_spared": agreement.specificity,
            "read_unlike": agreement.labelled - agreement.alike,
        },
    )


def _trusted(agreement: Agreement) -> tuple[Reliability, tuple[str, ...]]:
    """How far the classifier goes: unreliable until people have checked it, or where it errs."""
    if agreement.share is None:
        said = f"unreliable: {agreement.labelled} of {NEEDED} comments read by two people"
        return Reliability.UNRELIABLE, (said,)
    told = f"people agree with {percent(agreement.share)} of the suggestions"
    if agreement.share < AGREEMENT_NEEDED:
        return Reliability.UNRELIABLE, (f"unreliable: {told}",)
    return Reliability.RELIABLE, (told,)
