"""What a target makes of a reading: kept and status, and only if it is signed (METRICS.md 1.13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from governance.models import Target
from governance.targets import Status, in_words, lives, measurement_changed
from metrics.definitions import find
from metrics.kinds import Unit
from metrics.measure import Reading
from metrics.standing import UNDECIDABLE, Reliability, kept, silent, status
from metrics.standing import Status as Outlook
from metrics.suggesting import UNDECIDED_IN_A_ROW, answers_to_settle, needs_more_data
from portal.tenancy.models import Organisation


@dataclass(frozen=True, slots=True)
class Standing:
    """A target as it stands on a day."""

    target: Target
    status: Status
    #: Days it is in force, begin <= day < end; begin is None while it is not fully signed.
    begins: date | None
    ends: date

    @property
    def words(self) -> str:
        """The value in words."""
        return in_words(self.target)

    def covers(self, start: date, until: date) -> bool:
        """Whether it was in force for every day of a period."""
        return self.begins is not None and self.begins <= start and until <= self.ends

    def is_about(self, capability_id: int | None, severity: str | None) -> bool:
        """Whether it is a target for this slice."""
        named = self.target.capability_id
        return (named is None or named == capability_id) and (
            not self.target.severity or self.target.severity == severity
        )


def standings(tenant: Organisation, *, domain_id: int | None = None, on: date) -> list[Standing]:
    """Every target of the organisation, or of one domain, as it stands on a day; newest first."""
    found = []
    for life in lives(tenant, domain_id=domain_id):
        stands = life.status(on)
        for target in sorted(life.sheet.targets.all(), key=lambda one: one.position):
            target.sheet = life.sheet
            found.append(Standing(target, stands, life.begins, life.ends))
    return found


def against(
    reading: Reading,
    found: Iterable[Standing],
    *,
    capability_id: int | None,
    severity: str | None,
    period: tuple[date, date],
) -> Reading:
    """The reading with its target, and with `kept` and `status` if one was in force throughout.

    A target that is only proposed is named as such and turns nothing "kept" or "met".
    """
    mine = [
        standing
        for standing in found
        if standing.target.metric == reading.key and standing.is_about(capability_id, severity)
    ]
    mine.sort(key=lambda standing: standing.target.capability_id is None)  # the closer one first
    for standing in mine:
        if standing.covers(*period):
            return _compared(reading, standing)
    waiting = [s for s in mine if s.status in (Status.PROPOSED, Status.PARTIALLY_SIGNED)]
    signed = [s for s in mine if s.status in (Status.SIGNED, Status.ACTIVE)]
    for standing in (*signed, *waiting):
        return replace(reading, target=_described(standing))
    return reading


def needs_more(readings: Sequence[Reading], every: str = "month") -> str:
    """What to do after three periods in a row that cannot tell yet (METRICS.md D7); empty: nothing.

    `readings` are those of successive periods against their targets, oldest first.
    """
    last = readings[-UNDECIDED_IN_A_ROW:]
    if not needs_more_data([Outlook(one.status) for one in last if one.status is not None]):
        return ""
    metric, _ = find(last[-1].key)
    target = last[-1].target or {}
    told = f"Three {every}s in a row could not tell whether the target ({target['words']}) is met:"
    told += " look at a longer window" + (", or ask more people" if metric.from_answers else "")
    return f"{told}.{_would_settle(last, float(str(target['value'])))}"


def _would_settle(readings: Sequence[Reading], target: float) -> str:
    """How much it takes in one window if what comes is like what these periods told, in words."""
    metric, view = find(readings[-1].key)
    counted = sum(one.denominator or 0 for one in readings)
    shares = [one.numerator for one in readings if one.numerator is not None]
    if view.unit is not Unit.SHARE or len(shares) < len(readings) or not counted:
        return ""
    what = "answers" if metric.from_answers else "items"
    needed = answers_to_settle(sum(shares) / counted, target, 0)
    if needed is None:
        return f" They stand on the target, which no number of {what} settles."
    return f" About {needed:,} {what} in it would settle that; these had {counted:,}."


def _described(standing: Standing) -> dict[str, object]:
    return {
        "value": str(standing.target.value),
        "words": standing.words,
        "state": standing.status.value,
        "in_force_from": standing.begins.isoformat() if standing.begins else None,
        "to_be_signed_again": measurement_changed(standing.target),
        "sheet": standing.target.sheet_id,
    }


def _compared(reading: Reading, standing: Standing) -> Reading:
    metric, view = find(reading.key)
    direction = metric.direction_of(view)
    target = float(standing.target.value)
    state = Reliability(reading.reliability_state) if reading.reliability_state else None
    # Of answers only those are counted that nothing changes any more; everything else may change.
    settled = metric.from_answers or not reading.provisional
    observed: bool | None = None
    if settled and not metric.from_answers and state not in UNDECIDABLE:
        observed = None if reading.value is None else kept(reading.value, target, direction)
    told = Outlook.CANNOT_TELL_YET
    if settled:
        told = status(reading.interval, target, direction, state)
    return replace(
        reading,
        target=_described(standing),
        kept=observed,
        status=told.value,
        beside={
            **reading.beside,
            **_of_the_silent(reading, target),
            **_to_settle(reading, target, told, state),
        },
    )


def _to_settle(
    reading: Reading, target: float, told: Outlook, state: Reliability | None
) -> dict[str, int]:
    """How many more answers would settle what cannot be told yet (METRICS.md 1.13, D7)."""
    metric, view = find(reading.key)
    if not metric.from_answers or view.unit is not Unit.SHARE or reading.value is None:
        return {}
    if told is not Outlook.CANNOT_TELL_YET or state in UNDECIDABLE or not reading.denominator:
        return {}
    more = answers_to_settle(reading.value, target, reading.denominator)
    return {} if more is None else {"answers_to_settle": more}


def _of_the_silent(reading: Reading, target: float) -> dict[str, float]:
    """The share the silent would need for the target to be met (METRICS.md 1.12)."""
    answered, satisfied = reading.denominator, reading.numerator
    if not reading.response_rate or reading.value is None or not answered or satisfied is None:
        return {}
    needed = silent(round(answered / reading.response_rate), answered, satisfied, target).needed
    return {} if needed is None else {"needed_of_the_silent": needed}
