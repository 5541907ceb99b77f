"""Home: five findings, each true of the data at hand, and the catalogue by domain."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import Count
from django.urls import reverse

from metrics.answering_signals import may_answer
from metrics.evaluating import ScalesPooled
from metrics.measure import Reader, Reading, Slice
from metrics.parts import measure
from metrics.words import percent
from portal.catalogue.models import Capability, Domain
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member
from portal.scorecards import in_words, period
from surveys.models import Answer
from tickets.models import Resolution, Ticket


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence with its number and its link."""

    sentence: str
    url: str = ""
    link: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CapabilityLine:
    """A capability in the catalogue."""

    slug: str
    name: str
    url: str
    volume: str
    lines: list[str]


@dataclass(frozen=True, slots=True)
class DomainLine:
    """A domain of the catalogue."""

    key: str
    name: str
    words: str
    capabilities: list[CapabilityLine]


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    period_words: str
    profile: str
    findings: list[Finding] = field(default_factory=list)
    domains: list[DomainLine] = field(default_factory=list)
    #: Whether the member owns or runs a service, so that its detectors are theirs to read.
    watches: bool = False


def page(*, member: Member, now: datetime) -> Page:
    """Home as this member may see it."""
    tenant = member.organisation
    start, until, _ = period({}, now.astimezone(tenant.zone).date())
    readable = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
    live = list(readable.select_related("domain"))
    reader = Reader(tenant, as_of=now)
    shown = Page(in_words(start, until), reader.settings.profile)
    telling = _Telling(reader, live, start, until)
    if live:
        reader.fetch(start, until)
        shown.findings = telling.findings()
        shown.watches = any(may_answer(member.person, member.roles, one) for one in live)
    volumes = _volumes(tenant.pk, reader, start, until)
    capabilities = list(
        Capability.objects.for_tenant(tenant).select_related("domain").order_by("name")
    )
    for domain in Domain.objects.for_tenant(tenant).select_related("service_desk_manager"):
        mine = [c for c in capabilities if c.domain_id == domain.pk]
        manager = domain.service_desk_manager
        shown.domains.append(
            DomainLine(
                domain.key,
                domain.name,
                f"Run by {manager.name}." if manager else "Nobody is named as running it.",
                [telling.line(capability, volumes.get(capability.pk, 0)) for capability in mine],
            )
        )
    return shown


def _volumes(tenant_id: int, reader: Reader, start: date, until: date) -> dict[int, int]:
    counted = (
        Ticket.objects.for_tenant(tenant_id)
        .counted()
        .filter(opened_at__gte=reader.midnight(start), opened_at__lt=reader.midnight(until))
        .order_by()
        .values("capability")
        .annotate(number=Count("pk"))
    )
    return {row["capability"]: row["number"] for row in counted if row["capability"]}


class _Telling:
    """Finds, for each of the five questions, the capability where it shows most."""

    def __init__(self, reader: Reader, live: list[Capability], start: date, until: date) -> None:
        self.reader, self.live, self.start, self.until = reader, live, start, until
        self.live_ids = {capability.pk for capability in live}

    def findings(self) -> list[Finding]:
        """The five sentences; one that cannot be said names what is missing."""
        return [
            self._closed_not_solved(),
            self._fast_not_helpful(),
            self._high_score_otherwise(),
            self._policy_not_service(),
            self._self_service(),
        ]

    def line(self, capability: Capability, number: int) -> CapabilityLine:
        """A capability with one sentence each on self-service, satisfaction, speed, durability."""
        told = []
        if capability.pk in self.live_ids:
            told = [
                self._reading(name, capability).sentence
                for name in (
                    "should_have_been_self_service.share",
                    "csat_share.share",
                    "first_meaningful_response.attainment",
                    "reopen_rate.rate",
                )
            ]
        return CapabilityLine(
            capability.slug,
            capability.name,
            self._url(capability),
            f"{number:,} tickets in this period",
            told,
        )

    def _reading(self, name: str, capability: Capability) -> Reading:
        cut = Slice(self.start, self.until, frozenset([capability.pk]))
        return self.reader.tell(name, cut)

    def _url(self, capability: Capability, anchor: str = "") -> str:
        url = reverse("scorecard", args=[self.reader.tenant.slug, capability.slug])
        return url + (f"#{anchor}" if anchor else "")

    def _widest_gap(self, first: str, second: str) -> tuple[Capability, Reading, Reading] | None:
        """The capability with the widest gap between two shares, of those with ten or more."""
        found = []
        for capability in self.live:
            one, two = self._reading(first, capability), self._reading(second, capability)
            if one.value is None or two.value is None or (one.denominator or 0) < 10:
                continue
            found.append((one.value - two.value, capability.name, capability, one, two))
        if not found:
            return None
        _, _, capability, one, two = max(found, key=lambda entry: entry[:2])
        return capability, one, two

    def _window(self) -> str:
        return f"{self.reader.settings.reopen_days:g} days"

    def _closed_not_solved(self) -> Finding:
        found = self._widest_gap("fcr.claimed", "fcr.verified")
        if found is None:
            return Finding("Closed but not solved: unknown, no service has ten first resolutions"
                           f" that are {self._window()} old yet.")  # fmt: skip
        capability, claimed, verified = found
        assert claimed.value is not None
        assert verified.value is not None
        return Finding(
            f"Closed is not solved: in {capability.name}, {percent(claimed.value)} were closed as"
            f" solved at first contact, and {percent(verified.value)} stayed solved.",
            self._url(capability, "fcr-verified"),
            "How it held",
            f"{claimed.numerator} and {verified.numerator} of {claimed.denominator}",
        )

    def _fast_not_helpful(self) -> Finding:
        found = self._widest_gap(
            "first_response.attainment", "first_meaningful_response.attainment"
        )
        if found is None:
            return Finding("Fast at replying, slow at helping: unknown, too few replies had a"
                           " promised time in this period.")  # fmt: skip
        capability, replied, helped = found
        assert replied.value is not None
        assert helped.value is not None
        return Finding(
            f"Fast at replying, slower at helping: in {capability.name}, {percent(replied.value)}"
            f" had a reply in time, and {percent(helped.value)} had one that helped.",
            self._url(capability, "first-meaningful-response-attainment"),
            "First replies",
            f"of {replied.denominator} and {helped.denominator} decided in this period",
        )

    def _high_score_otherwise(self) -> Finding:
        """Satisfied answers about a resolution that did not hold; words are not classified yet."""
        reopened = Resolution.objects.for_tenant(self.reader.tenant).filter(
            reopened=True,
            capability__in=self.live_ids,
            at__gte=self.reader.midnight(self.start),
            at__lt=self.reader.midnight(self.until),
        )
        pairs = set(reopened.values_list("ticket_id", "event_key"))
        released = Answer.objects.for_tenant(self.reader.tenant).filter(
            score__gte=4,
            late=False,
            released_at__isnull=False,
            event__capability__in=self.live_ids,
            event__scale="csat_1_5",
            event__at__gte=self.reader.midnight(self.start),
            event__at__lt=self.reader.midnight(self.until),
        )
        happy = list(released.values_list("event__ticket_id", "event__event_key"))
        torn = sum(pair in pairs for pair in happy)
        detail = "Comments are not classified yet, so this counts what happened, not words."
        if len(happy) < 10 or torn < 5:
            return Finding(
                "High scores beside another story: unknown, fewer than five satisfied answers are"
                " about something that came back.",
                detail=detail,
            )
        return Finding(
            f"A high score is not the whole story: {torn} of {len(happy)} satisfied answers are"
            f" about something that came back within {self._window()}.",
            detail=detail,
        )

    def _policy_not_service(self) -> Finding:
        cut = Slice(self.start, self.until, frozenset(self.live_ids))
        try:
            service = measure(self.reader, "csat_share.share", cut)
            policy = measure(self.reader, "policy_denial_satisfaction.share", cut)
        except ScalesPooled as error:
            return Finding(f"Policy, not service: unknown. {error}")
        of_policy, of_service = (
            policy.beside.get("dissatisfied"),
            service.beside.get("dissatisfied"),
        )
        if of_policy is None or of_service is None:
            return Finding("Policy, not service: unknown, fewer than ten answers are about a"
                           " policy's no.")  # fmt: skip
        total = int(of_policy + of_service)
        share = percent(of_policy / total) if total else "none"
        return Finding(
            f"Policy, not service: {share} of all dissatisfied answers ({of_policy} of {total}) are"
            " about a policy that had to be applied. They are set apart and go to its owner.",
            detail=policy.sentence,
        )

    def _self_service(self) -> Finding:
        found = []
        for capability in self.live:
            reading = self._reading("should_have_been_self_service.share", capability)
            if reading.value is not None and (reading.denominator or 0) >= 10:
                found.append((reading.numerator or 0, capability.name, capability, reading))
        if not found:
            return Finding("What should have been self-service: unknown, too little is"
                           " classified.")  # fmt: skip
        number, _, capability, reading = max(found, key=lambda entry: entry[:2])
        assert reading.value is not None
        return Finding(
            f"Should not have needed us: {percent(reading.value)} of {capability.name} should have"
            f" been self-service, {number:,} of {reading.denominator:,} tickets.",
            self._url(capability, "should-have-been-self-service-share"),
            "What it was",
            "What was fixed since is not recorded yet.",
        )
