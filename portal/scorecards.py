"""The scorecard of a capability: which figures in which family, and who reads them live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from governance.comparing import Standing, against, needs_more, standings
from governance.guarding import Among, guarded
from metrics import evidence, words
from metrics.answering_signals import (
    answers_by_metric,
    may_answer,
)
from metrics.breaks import breaks_of, changes_of
from metrics.charts import Every
from metrics.cross_checking import with_cohort
from metrics.data_quality import with_data_quality
from metrics.definitions import BY_KEY, Metric, View, find
from metrics.definitions import Family as About
from metrics.leaving_out import with_left_out
from metrics.measure import Reader, Reading, Slice
from metrics.periods import is_askable
from metrics.restated import with_restatements
from metrics.tracing import is_traceable
from metrics.trends import course, mature_until, months_before
from metrics.undecided import with_paused
from metrics.windows import mature_day, survey_window
from portal.cards import Beside, Card, Link, Told, anchor_of, card, counted_heading, series
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities, policy_capabilities
from portal.catalogue.severity import Severity
from portal.drawing import Series
from portal.exporting import FORMATS
from portal.happenings import known_to_have_happened
from portal.organisations import Member
from portal.readings import Answering, Asked
from tickets.models import Ticket

TREND_MONTHS = 12
#: The only metric that the owner of a policy reads.
POLICY = "policy_denial_satisfaction"
#: A figure that needs a follow-up window is mature two weeks after its period.
FOLLOW_UP = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Family:
    """Figures of one kind."""

    key: str
    title: str
    cards: list[Card]
    words: str = ""
    #: Told as sentences over one table: what it is made of stands with the cards before.
    compact: bool = False

    @property
    def counted_heading(self) -> str:
        """What stands above what was counted."""
        return counted_heading(figure for card in self.cards for figure in card.figures)


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
    #: Of the settings its figures were measured by.
    settings_version: int | None = None
    profile: str = ""
    #: Over which days survey figures are told where that is another period.
    survey_words: str = ""
    #: Whether no period was asked for.
    is_usual: bool = False
    period_error: str = ""
    #: Tickets that are in no figure, with the reasons; empty: none, or not for this reader.
    left_out: str = ""
    families: list[Family] = field(default_factory=list)
    #: Whether this reader is told everything; else only what a policy's owner is.
    whole: bool = False
    targets: list[TargetRow] = field(default_factory=list)
    #: How its figures may be taken away.
    formats: tuple[str, ...] = tuple(FORMATS)


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
    capability.tenant = tenant  # known: nobody need ask for it
    start, until, error = period(query, now.astimezone(tenant.zone).date())
    usual = is_usual(query) or bool(error)
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
        is_usual=usual,
        targets=_targets(found, capability),
    )
    whole = _reads(member, capability)
    if whole is not None:
        cut = Slice(start, until, frozenset([capability.pk]))
        telling = _Telling(Reader(tenant, as_of=now), member, capability, cut, found, usual=usual)
        shown.survey_words = telling.survey_words
        shown.whole = whole
        shown.families = telling.families() if whole else [telling.policy()]
        shown.left_out = telling.left_out() if whole else ""
        shown.settings_version = telling.reader.settings_version
        shown.profile = telling.reader.settings.profile
    return shown


def readings(
    *, member: Member, slug: str, query: Mapping[str, str], now: datetime
) -> list[Reading]:
    """What the scorecard shows of a period, whole and by severity; empty for whoever may not read.

    A period that cannot be read is refused by the page in words; here the usual one is told.
    """
    tenant = member.organisation
    capability = Capability.objects.for_tenant(tenant).filter(slug=slug).first()
    whole = None if capability is None else _reads(member, capability)
    if capability is None or whole is None:
        return []
    start, until, error = period(query, now.astimezone(tenant.zone).date())
    answering = Answering(Reader(tenant, as_of=now))
    asked = Asked(start, until, slug)
    if not whole:
        names = [f"{POLICY}.{view.key}" for view in BY_KEY[POLICY].views]
        told = answering.all(names, asked, ())
    else:
        pooled = [one for one in answering.all((), asked, ()) if one.slice["severity"] is None]
        told = [*pooled, *answering.all((), asked, ["severity"])]
    if not (is_usual(query) or error):
        return told
    days = survey_window(answering.reader, frozenset([capability.pk]))
    return [_over(one, *days, slug, answering) if _of_surveys(one) else one for one in told]


def _of_surveys(reading: Reading) -> bool:
    return find(reading.key)[0].is_of_surveys


def _over(reading: Reading, start: date, until: date, slug: str, answering: Answering) -> Reading:
    return answering.tell(reading.key, Asked(start, until, slug, reading.slice["severity"]))


def is_usual(query: Mapping[str, str]) -> bool:
    """Whether no period is asked for."""
    return not query.get("from") and not query.get("until")


def _reads(member: Member, capability: Capability) -> bool | None:
    """Whether a member reads every figure of a capability live, policy denials only, or nothing."""
    tenant_id = member.organisation.pk
    live = live_capabilities(tenant_id, person=member.person, roles=member.roles)
    if live.filter(pk=capability.pk).exists():
        return True
    policy = policy_capabilities(tenant_id, person=member.person, roles=member.roles)
    return False if policy.filter(pk=capability.pk).exists() else None


def period(query: Mapping[str, str], today: date) -> tuple[date, date, str]:
    """The period asked for; else the last three calendar months that are closed and mature."""
    until = today.replace(day=1)
    if today - until < FOLLOW_UP:
        until = (until - timedelta(days=1)).replace(day=1)
    start = until
    for _ in range(3):
        start = (start - timedelta(days=1)).replace(day=1)
    if is_usual(query):
        return start, until, ""
    try:
        asked = (
            date.fromisoformat(query.get("from", "")),
            date.fromisoformat(query.get("until", "")),
        )
    except ValueError:
        return start, until, "Both days are needed, as 2026-10-01; the usual period is shown."
    if not is_askable(*asked, longest=timedelta(days=366)):
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
        self,
        reader: Reader,
        member: Member,
        capability: Capability,
        cut: Slice,
        found: Sequence[Standing],
        *,
        usual: bool,
    ) -> None:
        self.reader, self.capability, self.cut, self.found = reader, capability, cut, found
        first = months_before(cut.until, TREND_MONTHS)[0].start
        latest = max(cut.until, mature_day(reader)) if usual else cut.until
        reader.fetch_for(min(first, cut.start), latest, cut.capabilities)
        self.surveyed = cut
        if usual:
            start, until = survey_window(reader, cut.capabilities)
            self.surveyed = replace(cut, start=start, until=until)
        self.answers = answers_by_metric(capability)
        self.changes = reader.once(("changes", capability.pk, ""), lambda: changes_of(capability))
        self.happened = known_to_have_happened(capability)
        self.method_url = reverse("method", args=[reader.tenant.slug])
        self.quality_url = reverse("data_quality", args=[reader.tenant.slug])
        self.sees_tickets = may_answer(member.person, member.roles, capability)

    def families(self) -> list[Family]:
        """Self-service first: above 30 % nothing reads as well served (METRICS.md M25)."""
        return [
            section for family in About for section in [self._family(family), *self._speeds(family)]
        ]

    def policy(self) -> Family:
        """What the policy's owner reads: policy denials and nothing else."""
        metric, _ = find(POLICY)
        return Family("policy", "Policy", [self._card(metric, metric.views)])

    def _family(self, family: About) -> Family:
        """The metrics of a family, those of their views that are told over all severities."""
        cards = []
        for metric in BY_KEY.values():
            whole = self._told(_whole(metric))
            if metric.family is family and whole:
                cards.append(self._card(metric, whole))
        title = "Speed: promises kept" if family is About.SPEED else family.heading
        return Family(family.value, title, cards, words=self._above_its_line(family))

    def _told(self, views: Sequence[View]) -> list[View]:
        """Those of some views that the organisation is told of."""
        return [view for view in views if view.is_told(self.reader.settings)]

    def _above_its_line(self, family: About) -> str:
        """What speaks against reading anything as well served, whatever else stands here."""
        decided = self.reader.settings
        line, name, what = {
            About.SELF_SERVICE: (
                decided.self_service_line,
                "should_have_been_self_service.share",
                "should have been self-service",
            ),
            About.DURABILITY: (decided.reopen_line, "reopen_rate.rate", "came back"),
        }.get(family, (1.0, "", ""))
        if not name:
            return ""
        value = self.reader.tell(name, self.cut).value
        if value is None or value <= line:
            return ""
        return (
            f"{words.percent(value)} {what}, above the line of {words.percent(line)}: until that"
            " falls, this service is not well served, whatever satisfaction or speed say."
        )

    def _speeds(self, family: About) -> list[Family]:
        """After the promises: every severity with its durations, which are never pooled."""
        if family is not About.SPEED:
            return []
        sections = []
        for severity in Severity:
            cards = []
            for metric in BY_KEY.values():
                apart = [view for view in metric.views if view.per_severity]
                views = (
                    apart
                    if metric.family is not About.SPEED
                    else [*apart, *self._told(_whole(metric))]
                )
                if views:
                    cards.append(self._card(metric, views, severity))
            title = f"Speed: {severity}"
            sections.append(Family(f"speed-{severity}", title, cards, compact=True))
        return sections

    def _card(
        self, metric: Metric, views: Sequence[View], severity: Severity | None = None
    ) -> Card:
        cut = self.surveyed if metric.is_of_surveys else self.cut
        cut = _with(cut, severity) if severity else cut
        names = [f"{metric.key}.{view.key}" for view in views]
        among = Among(self.found, self.capability.pk)
        readings = [
            guarded(self._against(self._shown(name, cut), severity, cut), cut, self.reader, among)
            for name in names
        ]
        drawn, proposal = (None, "") if severity else self._series(metric, views)
        return card(
            readings,
            method_url=self.method_url,
            quality_url=self.quality_url,
            label=f"{metric.name}, {severity}" if severity else metric.name,
            series=drawn,
            proposal=proposal,
            evidence=self._evidence(metric, cut),
            period=self.survey_words if metric.is_of_surveys else "",
            tickets=self._tickets,
        )

    @property
    def survey_words(self) -> str:
        """The days of survey figures in words, where they are others than the page's."""
        mine = self.surveyed
        return "" if mine == self.cut else in_words(mine.start, mine.until)

    def _shown(self, name: str, cut: Slice) -> Reading:
        reading = with_data_quality(self.reader.tell(name, cut), cut, self.reader)
        reading = with_left_out(with_restatements(reading, cut, self.reader), cut, self.reader)
        return with_cohort(with_paused(reading, cut, self.reader), cut, self.reader)

    def left_out(self) -> str:
        """Tickets of the period that are in no figure, with the reasons; empty: none."""
        found = self.reader.left_out(self.cut)
        told = ", ".join(f"{tickets:,} {reason}" for reason, tickets in found.items())
        return f"Left out of every figure, of what was opened: {told}." if told else ""

    def _tickets(self, reading: Reading) -> str:
        """Where the tickets behind a reading are listed, for those who may see them."""
        counted = reading.denominator or reading.still_open
        if not (self.sees_tickets and counted and is_traceable(reading.key)):
            return ""
        asked = {"figure": reading.key, **reading.period}
        if reading.slice["severity"]:
            asked["severity"] = reading.slice["severity"]
        return f"tickets/?{urlencode(asked)}"

    def _evidence(self, metric: Metric, cut: Slice) -> list[Beside]:
        """What stands beside a metric; what the page shows elsewhere is only pointed at."""
        told = []
        for piece in evidence.beside(self.reader, cut, metric.key):
            apart = piece.rows and piece.kind in evidence.BY_SEVERITY
            if cut.severity is not None and _whole(metric) and not apart:
                continue  # the metric's own card says it already
            home = _home(piece.kind) if piece.rows else metric
            if home is not metric and self._stands_at(home, piece):
                there = anchor_of(f"{home.key}.{_whole(home)[0].key}")
                told.append(Beside(piece.title, shown_at=Link(home.name, f"#{there}")))
            else:
                rows = tuple(
                    Told(row.text, row.source, self._named(row.tickets)) for row in piece.rows
                )
                told.append(Beside(piece.title, rows, piece.words))
        return told

    def _stands_at(self, home: Metric, piece: evidence.Piece) -> bool:
        """Whether a piece is shown in full beside another metric.

        What people said is shown once: over the days of the survey figures it stands beside.
        """
        cut = self.surveyed if home.is_of_surveys else self.cut
        there = evidence.beside(self.reader, cut, home.key)
        if cut == self.cut:
            return piece in there
        return any(one.kind == piece.kind and one.rows for one in there)

    def _named(self, tickets: Sequence[evidence.TicketName]) -> tuple[Link, ...]:
        """Links to tickets, for those who may see them."""
        if not self.sees_tickets:
            return ()
        slug = self.reader.tenant.slug
        return tuple(
            Link(one.external_id, reverse("ticket", args=[slug, one.source, one.external_id]))
            for one in tickets
        )

    def _series(self, metric: Metric, views: Sequence[View]) -> tuple[Series | None, str]:
        """The course of the view that leads its metric, if there is one, and what its target asks.

        That is of whole months that are mature, each against the target in force in it.
        """
        for view in views:
            if view.leads:
                name = f"{metric.key}.{view.key}"
                found = course(
                    self.reader,
                    name,
                    self.cut,
                    Every.MONTH,
                    until=self.cut.until,
                    count=TREND_MONTHS,
                    breaks=breaks_of(name, self.answers.get(name, ()), self.changes),
                    happened=self.happened,
                )
                told = [self._against(reading, None, self.cut) for reading in found.readings]
                drawn = series(f"{view.name}, by month", replace(found, readings=told))
                mature = mature_until(self.reader, name)
                months = [
                    self._against(
                        reading, None, replace(self.cut, start=one.start, until=one.until)
                    )
                    for one, reading in zip(found.periods, found.readings, strict=True)
                    if one.until <= mature
                ]
                return drawn, needs_more(months)
        return None, ""

    def _against(self, reading: Reading, severity: Severity | None, cut: Slice) -> Reading:
        return against(
            reading,
            self.found,
            capability_id=self.capability.pk,
            severity=severity.value if severity else None,
            period=(cut.start, cut.until),
        )


def _whole(metric: Metric) -> list[View]:
    """The views of a metric that are told over all severities."""
    return [view for view in metric.views if not view.per_severity]


def _home(kind: str) -> Metric:
    """The metric beside which a kind of evidence is shown in full: the first that names it."""
    return next(metric for metric in BY_KEY.values() if _whole(metric) and kind in metric.pair)


def _with(cut: Slice, severity: Severity) -> Slice:
    return Slice(cut.start, cut.until, cut.capabilities, severity.value)
