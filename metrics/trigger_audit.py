"""What each trigger of a survey did: fired, sent, answered, dissatisfied, trivial (M07).

A trigger is a campaign: it fires for every resolution it covers. How many were dissatisfied is told
of the answers that the satisfied share counts, and only where no trigger with few of them could be
found by subtraction.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from django.db.models import Count, Q, QuerySet

from metrics.evaluating import ScalesPooled, answers, dissatisfied_in
from metrics.measure import Reader, Slice
from metrics.parts import too_few
from surveys.fatigue import Reason
from surveys.models import SurveyedEvent

#: Of a campaign, below which an event is too small.
_MINUTES = "campaign__effort_threshold_minutes"


@dataclass(frozen=True, slots=True)
class Audited:
    """A trigger in a period and capability, in numbers of resolutions."""

    capability: int
    name: str
    fired: int
    sent: int
    answered: int
    #: Of so many counted answers; None of both where they are too few, or came on several scales.
    dissatisfied: int | None
    counted: int | None
    #: Resolved within so many minutes with one reply at most; None where the trigger asks all.
    trivial: int | None
    trivial_minutes: int


def audit(reader: Reader, cut: Slice) -> list[Audited]:
    """The triggers that fired in each capability of a slice, the one that fired most first."""
    events = SurveyedEvent.objects.for_tenant(reader.tenant).filter(
        at__gte=reader.midnight(cut.start),
        at__lt=reader.midnight(cut.until),
        capability__in=cut.capabilities or (),
        campaign__isnull=False,
        ticket__left_out__in=("", "incomplete"),
    )
    sent = Q(invitation__sent_at__lte=reader.as_of)
    in_time = Q(answer__answered_at__lte=reader.as_of, answer__late=False)
    told = (
        events.order_by()
        .values_list("capability", "campaign", "campaign__name", _MINUTES)
        .annotate(
            fired=Count("pk"),
            sent=Count("pk", filter=sent),
            answered=Count("pk", filter=sent & in_time),
            trivial=Count("pk", filter=Q(not_sent__reason=Reason.LOW_EFFORT)),
        )
    )
    said = _said(reader, cut, events) if told else {}
    audited = []
    for capability, campaign, name, minutes, fired, asked, answered, trivial in told:
        dissatisfied, counted = said.get((capability, campaign), (None, None))
        audited.append(
            Audited(
                capability=capability,
                name=name,
                fired=fired,
                sent=asked,
                answered=answered,
                dissatisfied=dissatisfied,
                counted=counted,
                trivial=trivial if minutes else None,
                trivial_minutes=minutes,
            )
        )
    return sorted(audited, key=lambda one: (-one.fired, one.name))


def _said(
    reader: Reader, cut: Slice, events: QuerySet[SurveyedEvent]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Dissatisfied, of how many answers, by capability and campaign; without those of too few."""
    unhappy: dict[int, dict[int, bool]] = {}
    for one in cut.capabilities or ():
        try:
            rows = answers(
                reader.facts(replace(cut, capabilities=frozenset([one]))), policy_denial=False
            ).rows
        except ScalesPooled:
            continue
        said = zip(rows["event"].tolist(), dissatisfied_in(rows).tolist(), strict=True)
        unhappy[one] = dict(said)
    answered_events = events.filter(answer__isnull=False).order_by()
    campaigns = dict(answered_events.values_list("pk", "campaign"))
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for capability, answered in unhappy.items():
        of_each: dict[int | None, list[bool]] = defaultdict(list)  # None: asked by no trigger
        for event, says in answered.items():
            of_each[campaigns.get(event)].append(says)
        hidden = too_few(
            {str(one): len(each) for one, each in of_each.items()},
            int(reader.settings.suppressed_below),
        )
        found |= {
            (capability, one): (sum(each), len(each))
            for one, each in of_each.items()
            if one is not None and str(one) not in hidden
        }
    return found
