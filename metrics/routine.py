"""Work that should not need us, and how far its classification may be trusted (METRICS.md M25).

The raw share stands in front. Beside it, where fifty of a capability's items were read by a second
person, the share corrected by what that reading shows of the flag (Rogan and Gladen).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from metrics import columns
from metrics.evaluating import Facts, share
from metrics.kinds import Estimate
from metrics.ratios import DoubleCheck, classified_enough, corrected
from metrics.rows import Rows
from metrics.small_numbers import SMALLEST
from metrics.standing import Reliability
from metrics.words import percent

#: Items of a capability that have to be read again before anything is corrected.
READ_AGAIN = 50
ROUTINE = columns.SECOND_READINGS.index("routine") + 1
OURS = columns.SECOND_READINGS.index("ours") + 1


def should_have_been_self_service(facts: Facts) -> Estimate:
    """M25: routine items of those classified, opened in the period, with the double-check."""
    rows = facts.rows(columns.ITEMS)
    classified = rows["routine"] != columns.UNKNOWN
    told = share(
        int((rows["routine"] == 1).sum()),
        int(classified.sum()),
        left_out={"not classified": int((~classified).sum())} if not classified.all() else {},
        why="nothing opened in this period was classified",
    )
    if told.value is None:
        return told
    decided = facts.settings
    enough = classified_enough(
        told.denominator, len(rows), hardly=decided.hardly_classified, well=decided.well_classified
    )
    only = f"only {percent(told.denominator / len(rows))} are classified"
    if enough is Reliability.UNRELIABLE:
        told = replace(told, reliability=enough, flags=(f"unreliable: {only}",))
    elif enough is not Reliability.RELIABLE:
        told = replace(told, flags=(f"limited: {only}",))
    return _checked(told, facts, rows)


@dataclass(frozen=True, slots=True)
class Found:
    """What second readings say of a flag: counts, and the rates where there are enough of each."""

    read: int
    unclear: int
    agreeing: int
    check: DoubleCheck | None
    #: Why there is no rate yet.
    why: str = field(default="")


def found_in(flagged: NDArray[Any], says: NDArray[Any]) -> Found:
    """The double-check of items by their flag (1 or 0) and what the second reading says.

    Rates need fifty clear readings, and five items of each sort among them.
    """
    clear = (says == ROUTINE) | (says == OURS)
    routine, ours = says == ROUTINE, says == OURS
    read = int(clear.sum())
    agreeing = int(((flagged == 1) & routine).sum() + ((flagged == 0) & ours).sum())
    found = Found(read, int((~clear).sum()), agreeing, None)
    if read < READ_AGAIN:
        return replace(found, why=f"{read} of {READ_AGAIN} items are read by a second person")
    for name, sort in (("routine", routine), ("not routine", ours)):
        if int(sort.sum()) < SMALLEST:
            return replace(found, why=f"fewer than {SMALLEST} of the items read again are {name}")
    check = DoubleCheck(float((flagged[routine] == 1).mean()), float((flagged[ours] == 0).mean()))
    return replace(found, check=check)


def _checked(told: Estimate, facts: Facts, items: Rows) -> Estimate:
    """The estimate with what the double-check says of it: corrected, doubted, or not yet known."""
    assert told.value is not None
    if len({int(one) for one in items["capability"]}) > 1:
        return _not_corrected(told, "corrected for one capability at a time: flags err differently")
    rows = facts.rows(columns.CHECKS)
    rows = rows[(rows["routine"] != columns.UNKNOWN) & (rows["read"] <= facts.as_of)]
    found = found_in(rows["routine"], rows["says"])
    beside: dict[str, float | int | None] = {"read_again": found.read}
    if found.unclear:
        beside["read_unclear"] = found.unclear
    if found.read >= READ_AGAIN:
        beside["read_agreeing"] = found.agreeing / found.read
    if found.check is None:
        return _not_corrected(replace(told, beside=beside), f"not corrected: {found.why}")
    beside |= {"sensitivity": found.check.sensitivity, "specificity": found.check.specificity}
    true_share = corrected(told.value, found.check)
    beside["corrected"] = true_share
    told = replace(told, beside=beside)
    if true_share is None:
        said = "unreliable: read again, the flag is no better than chance at telling routine work"
        return replace(told, reliability=Reliability.UNRELIABLE, flags=(*told.flags, said))
    return told


def _not_corrected(told: Estimate, why: str) -> Estimate:
    return replace(told, flags=(*told.flags, why))
