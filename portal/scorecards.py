"""The scorecard of a capability: which figures in which family, and who reads them live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.urls import reverse

from governance.comparing import Standing, against, standings
from metrics import evidence
from metrics.data_quality import with_data_quality
from metrics.definitions import find
from metrics.evidence import Piece
from metrics.measure import Reader, Reading, Slice
from metrics.trends import months_before, trend
from portal.cards import Card, card, series
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities, policy_capabilities
from portal.catalogue.severity import Severity
from portal.organisations import Member
from tickets.models import Ticket

TREND_MONTHS = 12
#: A figure that needs a follow-up window is mature two weeks after its period.
FOLLOW_UP = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Family:
    """Figures of one kind."""

    key: str
    title: str
    cards: list[Card]
    words: str = ""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target in the list below the figures."""

    what: str
    words: str
    period: str
    standing: str
    css: str


@dataclass(slots=True)
class Page:
    """Everything the scorecard's template shows."""

    capability: Capability
    volume: str
    start: date
    until: date
    owner: str = ""
    unit: str = ""
    period_words: str = ""
    period_error: str = ""
    families: list[Family] = field(default_factory=list)
    targets: list[TargetRow] = field(default_factory=list)


def page(*, member: Member, slug: str, query: Mapping[str, str], now: datetime) -> Page | None:
    """The scorecard as this member may see it; None where there is no such capability."""
    tenant = member.organisation
    capability = (
        Capability.objects.for_tenant(tenant)
        .filter(slug=slug)
        .select_related("domain", "business_unit", "process_owner")
        .first()
    )
    if capability is None:
        return None
    start, until, error = period(query, now.astimezone(tenant.zone).date())
    found = standings(tenant, domain_id=capability.domain_id, on=now.astimezone(tenant.zone).date())
    shown = Page(
        capability=capability,
        volume=volume(tenant.pk, capability.pk, now),
        start=start,
        until=until,
        owner=capability.process_owner.name if capability.process_owner else "",
        unit=capability.business_unit.name if capability.business_unit else "",
        period_words=in_words(start, until),
        period_error=error,
        targets=_targets(found, capability),
    )
    live = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
    policy = policy_capabilities(tenant.pk, person=member.person, roles=member.roles)
    reader = Reader(tenant, as_of=now)
    telling = _Telling(reader, capability, Slice(start, until, frozenset([capability.pk])), found)
    if live.filter(pk=capability.pk).exists():
        shown.families = telling.families()
    elif policy.filter(pk=capability.pk).exists():
        shown.families = [telling.policy()]
    return shown


def period(query: Mapping[str, str], today: date) -> tuple[date, date, str]:
    """The period asked for; else the last three calendar months that are closed and mature."""
    until = today.replace(day=1)
    if today - until < FOLLOW_UP:
        until = (until - timedelta(days=1)).replace(day=1)
    start = until
    for _ in range(3):
        start = (start - timedelta(days=1)).replace(day=1)
    if not query.get("from") and not query.get("until"):
        return start, until, ""
    try:
        asked = (
            date.fromisoformat(query.get("from", "")),
            date.fromisoformat(query.get("until", "")),
        )
    except ValueError:
        return start, until, "Both days are needed, as 2026-10-01; the usual period is shown."
    if not asked[0] < asked[1] <= asked[0] + timedelta(days=366):
        return (
            start,
            until,
            (
                "The first day comes before the last and a year is the longest period; the usual"
                " period is shown."
            ),
        )
    return (*asked, "")


def in_words(start: date, until: date) -> str:
    """A period in words, its last day included."""
    last = until - timedelta(days=1)
    return f"{start.day} {start:%B %Y} to {last.day} {last:%B %Y}"


def volume(tenant_id: int, capability_id: int, now: datetime) -> str:
    """How many tickets were opened in the last 30 days: told to everyone."""
    opened = (
        Ticket.objects.for_tenant(tenant_id)
        .counted()
        .filter(capability=capability_id, opened_at__gte=now - timedelta(days=30))
        .count()
    )
    return f"{opened:,} tickets were opened in the last 30 days."


def _targets(found: Sequence[Standing], capability: Capability) -> list[TargetRow]:
    rows = []
    for standing in found:
        target = standing.target
        if target.capability_id not in (None, capability.pk):
            continue
        _, view = find(target.metric)
        css = {"active": "signed", "signed": "signed"}.get(standing.status.value, "proposed")
        rows.append(
            TargetRow(
                view.name + (f", {target.severity}" if target.severity else ""),
                standing.words,
                in_words(target.sheet.effective_from, target.sheet.effective_until),
                standing.status.value,
                css,
            )
        )
    return rows


class _Telling:
    """Measures what the page shows; columns are fetched once for all of it."""

    def __init__(
        self, reader: Reader, capability: Capability, cut: Slice, found: Sequence[Standing]
    ) -> None:
        self.reader, self.capability, self.cut, self.found = reader, capability, cut, found
        self.periods = months_before(cut.until, TREND_MONTHS)
        reader.fetch(min(self.periods[0].start, cut.start), cut.until)
        self.method_url = reverse("method", args=[reader.tenant.slug])

    def families(self) -> list[Family]:
        """Self-service first: above 30 % nothing reads as well served (METRICS.md M25)."""
        return [
            Family("self-service", "Self-service", self._self_service()),
            Family("satisfaction", "Satisfaction", self._satisfaction()),
            *self._speed(),
            Family("durability", "Did it hold", self._durability()),
            Family("flow", "Flow", self._flow()),
        ]

    def policy(self) -> Family:
        """What the policy's owner reads: policy denials and nothing else."""
        return Family("policy", "Policy", [self._policy_card()])

    def _self_service(self) -> list[Card]:
        return [self._card("should_have_been_self_service.share", trend_of=True)]

    def _satisfaction(self) -> list[Card]:
        comments = evidence.comments(self.reader, self.cut)
        return [
            self._card("csat_share.share", trend_of=True, pieces=[comments]),
            self._policy_card(),
            self._card("csat_mean.mean"),
            self._card("response_rate.rate"),
            self._card("survey_coverage.coverage"),
        ]

    def _policy_card(self) -> Card:
        comments = evidence.comments(self.reader, self.cut, policy_denial=True)
        return self._card("policy_denial_satisfaction.share", pieces=[comments])

    def _speed(self) -> list[Family]:
        families = [
            Family(
                "in-time",
                "Speed: promises kept",
                [
                    self._card("first_meaningful_response.attainment", trend_of=True),
                    self._card("first_response.attainment"),
                    self._card("sla_attainment.resolution", trend_of=True),
                ],
            )
        ]
        return [*families, *(self._speed_of(severity) for severity in Severity)]

    def _speed_of(self, severity: Severity) -> Family:
        reasons = evidence.escalation_reasons(self.reader, _with(self.cut, severity))
        return Family(
            f"speed-{severity.value}",
            f"Speed: {severity.value}",
            [
                self._card("first_meaningful_response.median", severity),
                self._card("resolution_time.cohort_median", severity, pieces=[reasons]),
                self._card("resolution_time.cohort_p90", severity),
                self._card("resolution_time.resolved_median", severity),
                self._card("sla_attainment.resolution", severity),
            ],
        )

    def _durability(self) -> list[Card]:
        messages = evidence.reopen_messages(self.reader, self.cut)
        again = evidence.repeat_contacts(self.reader, self.cut)
        return [
            self._card("reopen_rate.rate", trend_of=True, pieces=[messages]),
            self._card("reopen_rate.policy_denial"),
            self._card("reopen_rate.twice"),
            self._card("fcr.verified", trend_of=True),
            self._card("fcr.claimed"),
            self._card("repeat_contact.rate", pieces=[again]),
        ]

    def _flow(self) -> list[Card]:
        reasons = evidence.escalation_reasons(self.reader, self.cut)
        return [
            self._card("escalation_rate.rate", trend_of=True, pieces=[reasons]),
            self._card("reassignments.bounced"),
            self._card("backlog.open"),
        ]

    def _card(
        self,
        name: str,
        severity: Severity | None = None,
        *,
        trend_of: bool = False,
        pieces: Sequence[Piece] = (),
    ) -> Card:
        cut = _with(self.cut, severity) if severity else self.cut
        measured = with_data_quality(self.reader.measure(name, cut), cut, self.reader)
        reading = self._against(measured, severity, cut)
        drawn = None
        if trend_of:
            told = [self._against(r, severity, cut) for r in
                    trend(self.reader, name, cut, self.periods)]  # fmt: skip
            drawn = series(f"{reading.name}, by month", told, [p.label for p in self.periods])
        label = f"{reading.name}, {severity.value}" if severity else reading.name
        return card(
            reading,
            method_url=self.method_url,
            quality_url=reverse("data_quality", args=[self.reader.tenant.slug]),
            label=label,
            series=drawn,
            evidence=pieces,
        )

    def _against(self, reading: Reading, severity: Severity | None, cut: Slice) -> Reading:
        return against(
            reading,
            self.found,
            capability_id=self.capability.pk,
            severity=severity.value if severity else None,
            period=(cut.start, cut.until),
        )


def _with(cut: Slice, severity: Severity) -> Slice:
    return Slice(cut.start, cut.until, cut.capabilities, severity.value)
