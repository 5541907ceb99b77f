"""The example tour: a reading of a real incident log, its numbers taken from the product.

Run with the worker's role, after the log was imported:

    manage.py create_organisation --slug log --name "An incident log" --administrator YOU
    manage.py import_tickets --organisation log --source log --mapping servicenow_incident_log FILE
    DATABASE_ROLE=worker python -m scripts.tour log > docs/tour.md

Every number of the text is a reading or a count of this run; what is said of them is checked
(`_holds`), so a tour whose conclusions no longer hold is not written.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import date, datetime
from statistics import mean, median
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metrics.measure import Reading
    from portal.tenancy.models import Organisation

#: The log's months: everything in it was opened in them, or resolved by the last day.
START, UNTIL = date(2016, 2, 1), date(2017, 3, 1)
#: When the tour reads, so that it reads the same ever after.
AS_OF = "2017-03-01T00:00:00+00:00"
SEVERITIES = ("critical", "high", "medium", "low")
HOUR = 3600.0


class NoLongerTrue(AssertionError):
    """A conclusion of the tour does not follow from the figures of this run."""


def _holds(conclusion: str, true: bool) -> None:
    if not true:
        raise NoLongerTrue(f"The tour would say that {conclusion}; the figures say otherwise.")


@dataclass(frozen=True, slots=True)
class _Pooled:
    """What a dashboard would show: every incident alike, by the wall clock, in hours."""

    mean: float
    median: float


class _Tour:
    """Asks the product, and keeps what it asked."""

    def __init__(self, tenant: Organisation) -> None:
        from metrics.measure import Reader
        from portal.readings import Answering

        self.tenant = tenant
        self._answering = Answering(Reader(tenant, as_of=datetime.fromisoformat(AS_OF)))

    def read(
        self, name: str, severity: str | None = None, capability: str | None = None
    ) -> Reading:
        """A reading of the whole log."""
        from portal.readings import Asked

        return self._answering.tell(name, Asked(START, UNTIL, capability, severity))

    def hours(self, name: str, severity: str) -> float:
        """A duration in business hours. Raises NoLongerTrue where it is unknown."""
        value = self.read(name, severity).value
        _holds(f"{name} of {severity} is known", value is not None)
        assert value is not None
        return value / HOUR

    def waited(self, severity: str) -> float:
        """How long half waited by the wall clock, in hours."""
        told = self.read("resolution_time.cohort_median", severity).beside["requester_elapsed"]
        _holds(f"what half of {severity} waited is known", told is not None)
        assert told is not None
        return told / HOUR

    def pooled(self) -> _Pooled:
        """Hours by the wall clock from opening to the end, over all severities."""
        from tickets.models import WorkItem

        items = WorkItem.objects.for_tenant(self.tenant)
        took = [
            (end - opened).total_seconds() / HOUR
            for opened, end in items.values_list("opened_at", "ended_at")
            if end is not None
        ]
        return _Pooled(mean(took), median(took))

    def reopened_by_capability(self) -> list[tuple[str, Reading]]:
        """Reopen rates of every category, the most tickets first."""
        from portal.catalogue.models import Capability

        slugs = Capability.objects.for_tenant(self.tenant).values_list("slug", "name")
        told = [(name, self.read("reopen_rate.rate", capability=slug)) for slug, name in slugs]
        return sorted(told, key=lambda one: (-(one[1].denominator or 0), one[0]))


def write(tenant: Organisation) -> str:
    """The tour as Markdown, inside `acting()`."""
    tour = _Tour(tenant)
    parts = [_opening(tour), _averages(tour), _reopens(tour), _small(tour), _unknown(tour)]
    blocks = [block for part in parts for block in part.split("\n\n")]
    return "\n\n".join(map(_filled, blocks)) + "\n"


def _filled(block: str) -> str:
    """A paragraph in lines of one width; tables, lists and headings as they are."""
    if block.startswith(("|", "* ", "#")):
        return block
    return fill(block, 100, break_long_words=False, break_on_hyphens=False)


def _opening(tour: _Tour) -> str:
    from tickets.models import Ticket, TicketEvent

    tickets = Ticket.objects.for_tenant(tour.tenant).count()
    events = TicketEvent.objects.for_tenant(tour.tenant).filter(type="ticket.snapshot").count()
    return f"""# A tour: what a real incident log says, and what it does not

*Written by `scripts/tour.py` from the product's own readings; do not edit by hand.*

The log is the audit trail of a service desk of 2016, published for research: {events:,} versions of
{tickets:,} incidents. Import it as its head says, open any of its services and press “What this
figure is made of”: the counts lead to the incidents themselves, and each says what the figure would
be of it alone. Everything below was read that way, over the whole log, as of {AS_OF[:10]}."""


def _averages(tour: _Tour) -> str:
    pooled = tour.pooled()
    rows = []
    for severity in SEVERITIES:
        reading = tour.read("resolution_time.cohort_median", severity)
        rows.append(
            f"| {severity} | {reading.denominator:,} | {_hours(reading.value)} |"
            f" {_interval(reading)} | {tour.hours('resolution_time.cohort_p90', severity):,.0f} h |"
        )
    halves = {one: tour.hours("resolution_time.cohort_median", one) for one in SEVERITIES}
    waited = {one: tour.waited(one) for one in SEVERITIES}
    low_tail = tour.hours("resolution_time.cohort_p90", "low")
    high_tail = tour.hours("resolution_time.cohort_p90", "high")
    _holds("the mean is several times the median", pooled.mean > 3 * pooled.median)
    _holds("critical incidents take longest", waited["critical"] == max(waited.values()))
    _holds("low ones have the quickest half and a longer tail than high ones",
           halves["low"] == min(halves.values()) and low_tail > high_tail)  # fmt: skip
    return f"""## What the averages hide

A dashboard would say: *mean time to resolve {pooled.mean:,.0f} hours*. Half of the incidents
were done
after {pooled.median:,.0f}. The mean is {pooled.mean / pooled.median:.1f} times that because a few
waited for months, and it describes nobody's incident. By severity, in business time, and counting
what is open as open:

| Severity | Incidents | Half resolved within | 95 % interval | Nine in ten within |
|---|---|---|---|---|
{chr(10).join(rows)}

Two things stand here that no pooled figure shows. The critical ones are not the quickest but the
slowest: as the caller counts it, by the wall clock, half of them took more than
{waited["critical"]:,.0f} hours, {waited["critical"] / waited["medium"]:.1f} times as long as
the medium ones
that make up the log. And the low ones have the quickest half ({halves["low"]:.1f} h) with a
longer tail
than the high ones ({low_tail:,.0f} h against {high_tail:,.0f} h for nine in ten): what is easy
is done at
once, and the rest is left lying. Critical incidents run round the clock in this product and the
others in office hours, so the hours of the table are not the same hours: it refuses to pool
them, and
says why when asked."""


def _reopens(tour: _Tour) -> str:
    rate, again = tour.read("reopen_rate.rate"), tour.read("repeat_contact.rate")
    claimed, verified = tour.read("fcr.claimed"), tour.read("fcr.verified")
    assert rate.value is not None
    assert again.value is not None
    assert claimed.value is not None
    assert verified.value is not None
    _holds("people come back far more often than tickets", again.value > 10 * rate.value)
    _holds("the claim is higher than what held", claimed.value > verified.value + 0.1)
    return f"""## What the reopens say

{rate.sentence} That looks like work that holds. Beside it stands its pair:
{_lower(again.sentence)} People
do not reopen a ticket, they send another one: somebody came back
{again.value / rate.value:.0f} times as
often as a ticket did. (The same caller with the same category within two weeks: some of them had
something new, so it is the upper end; a desk would read the subjects, which this log leaves out.)
Whoever is measured on reopens alone is measured on a button.

The same shows at first contact. {claimed.sentence} {verified.sentence} The difference,
{100 * (claimed.value - verified.value):.1f} points, is incidents that were closed at once and not
done: the desk would report the first figure, and the people it serves lived the second."""


def _small(tour: _Tour) -> str:
    rates = tour.reopened_by_capability()
    counted = [(name, one) for name, one in rates if one.denominator]
    small = [(name, one) for name, one in counted if (one.denominator or 0) < 30]
    none = [one for _, one in counted if one.numerator == 0]
    worst_name, worst = max(
        ((name, one) for name, one in counted if one.numerator), key=lambda one: one[1].value or 0
    )
    big_name, big = counted[0]
    _holds("some categories are too small", len(small) > 3)
    _holds("the highest rate rests on few", (worst.denominator or 0) < (big.denominator or 0) / 10)
    silent = max(none, key=lambda one: one.denominator or 0)
    return f"""## Where n is too small

{len(counted)} categories had something resolved; {len(small)} of them fewer than 30 times.
Sorted by
reopen rate, “{worst_name}” would lead the table with {_percent(worst)}: that is
{worst.numerator} of
{worst.denominator}, and its interval reaches from {_interval(worst)}. The largest,
“{big_name}”, has {_percent(big)} of {big.denominator:,}, {_interval(big)}: known to a fraction
of a point.
{len(none)} categories show no reopen at all. For the largest of those that is 0 of
{silent.denominator:,}, and up to {100 * (silent.interval.upper or 0):.1f} % would still fit;
for those with a
handful it means nothing, and the page says so by the width of the interval, not by a colour."""


def _unknown(tour: _Tour) -> str:
    names = (
        "csat_share.share",
        "first_meaningful_response.attainment",
        "requester_returns.share",
        "escalation_rate.rate",
        "self_service_completion.share",
    )
    told = [tour.read(name) for name in names]
    _holds("the log cannot say these", all(one.value is None for one in told))
    listed = "\n".join(f"* {one.name}: {_lower(one.sentence)}" for one in told)
    return f"""## What this log cannot say

No figure is made up where the log is silent:

{listed}

Whether anybody was satisfied, whether the first reply helped, and what should never have become an
incident are not in an audit trail of states. They are asked of people, within the hour."""


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _hours(seconds: float | None) -> str:
    assert seconds is not None
    return f"{seconds / HOUR:,.1f} h"


def _percent(reading: Reading) -> str:
    assert reading.value is not None
    return f"{100 * reading.value:.1f} %"


def _interval(reading: Reading) -> str:
    low, high = reading.interval.lower, reading.interval.upper
    _holds(f"{reading.key} has an interval", low is not None and high is not None)
    assert low is not None
    assert high is not None
    if reading.unit == "seconds":
        return f"{low / HOUR:,.1f} to {high / HOUR:,.1f} h"
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def main(slug: str) -> str:
    """The tour of an organisation by its slug."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django

    django.setup()
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation

    tenant = Organisation.objects.get(slug=slug)
    with acting(tenant.pk):
        return write(tenant)


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1]))
