"""Drivers: which service contributes most to dissatisfaction, busy told from bad (M11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from django.urls import reverse

from metrics import evidence, words
from metrics.drivers import Driver, Group, rank
from metrics.evaluating import NotOneFigure, dissatisfied
from metrics.evidence import Piece
from metrics.hanging import Hanging, hanging
from metrics.measure import Reader, Slice
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.comparisons import of, said
from portal.courses import Choice
from portal.organisations import Member
from portal.scorecards import in_words, period

#: Comments are shown of as many.
TOP = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A service with what it contributes, in words."""

    name: str
    url: str
    answers: str
    volume: str
    people: str
    contribution: str
    excess: str
    reads_as: str


@dataclass(frozen=True, slots=True)
class Together:
    """Two sorts of items with how many of each were satisfied."""

    first: str
    of_first: str
    second: str
    of_second: str
    difference: str
    wording: str
    differs: bool


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    start: date
    until: date
    period_words: str
    period_error: str = ""
    rows: list[Row] = field(default_factory=list)
    #: Comments of the services that contribute most, by name.
    comments: list[tuple[str, Piece]] = field(default_factory=list)
    #: Services whose answers came on several scales, or on another one than most answers.
    left_out: list[str] = field(default_factory=list)
    strength: str = ""
    #: The services to choose from, and what satisfaction goes together with in the chosen one.
    capabilities: list[Choice] = field(default_factory=list)
    chosen: str = ""
    hanging: list[Together] = field(default_factory=list)


def page(*, member: Member, query: Mapping[str, str], now: datetime) -> Page | None:
    """The ranking of the services a member reads live; None where there are none."""
    tenant = member.organisation
    live = list(
        live_capabilities(tenant.pk, person=member.person, roles=member.roles).order_by("name")
    )
    if not live:
        return None
    start, until, error = period(query, now.astimezone(tenant.zone).date())
    shown = Page(start, until, in_words(start, until), error)
    reader = Reader(tenant, as_of=now)
    reader.fetch_for(start, until)
    served = {one.name: one for one in live}
    groups = _on_one_scale(reader, served, shown)
    ranking = rank(groups, int(reader.settings.suppressed_below))
    if ranking is None:
        return shown
    shown.rows = [
        _row(driver, served, tenant.slug, int(reader.settings.suppressed_below))
        for driver in ranking.drivers
    ]
    strength = words.rounded(ranking.shrinkage.strength, 0)
    shown.strength = (
        f"Overall {words.percent(ranking.shrinkage.overall)} of the answers are dissatisfied; each"
        f" service is read as if it had {strength} more answers of that sort, so that few answers"
        " do not lead the list."
    )
    top = [driver.group.name for driver in ranking.drivers if not driver.is_others][:TOP]
    shown.comments = [
        (name, evidence.comments(reader, Slice(start, until, frozenset([served[name].pk]))))
        for name in top
    ]
    named = query.get("capability", "")
    chosen = next((one for one in live if one.slug == named), served.get(top[0]) if top else None)
    if chosen is not None and chosen.name not in shown.left_out:
        shown.chosen = chosen.name
        cut = Slice(start, until, frozenset([chosen.pk]))
        shown.hanging = [_together(one) for one in hanging(reader, cut)]
    shown.capabilities = [Choice(one.slug, one.name, one is chosen) for one in live]
    return shown


def _on_one_scale(reader: Reader, served: Mapping[str, Capability], shown: Page) -> list[Group]:
    """The services whose answers came on the scale of most answers; the others are left out."""
    by_scale: dict[frozenset[str], list[Group]] = defaultdict(list)
    for name, capability in served.items():
        cut = Slice(shown.start, shown.until, frozenset([capability.pk]))
        try:
            answered, unhappy, volume = dissatisfied(reader.facts(cut))
        except NotOneFigure:
            shown.left_out.append(name)
            continue
        by_scale[reader.scales(cut)].append(Group(name, answered, unhappy, volume))
    silent = by_scale.pop(frozenset(), [])
    ranked = sorted(by_scale.values(), key=lambda some: sum(one.answered for one in some))
    shown.left_out += [one.name for some in ranked[:-1] for one in some]
    return [*(ranked[-1] if ranked else ()), *silent]


def _together(one: Hanging) -> Together:
    first, second, factor = one.first, one.second, one.factor
    if first is None or second is None:
        return Together(factor.first, "", factor.second, "", "", "too few answers to say", False)
    return Together(
        factor.first, of(first), factor.second, of(second), *said(one.told, one.told.wording)
    )


def _row(driver: Driver, served: Mapping[str, Capability], organisation: str, smallest: int) -> Row:
    group = driver.group
    if group.answered < smallest:
        return Row("Others", "", f"fewer than {smallest}", "", "", "", "", "too few answers to say")
    capability = served.get(group.name)
    contribution = driver.contribution
    return Row(
        name="Others" if driver.is_others else group.name,
        url=reverse("scorecard", args=[organisation, capability.slug]) if capability else "",
        answers=f"{group.dissatisfied} of {group.answered}",
        volume=f"{group.volume:,}",
        people=words.rounded(driver.people, 0),
        contribution="unknown" if contribution is None else words.percent(contribution),
        excess=words.rounded(driver.excess, 0).replace("-", "\N{MINUS SIGN}"),
        reads_as=_reads_as(driver),
    )


def _reads_as(driver: Driver) -> str:
    if driver.is_others:
        return "no one thing"
    if round(driver.excess) == 0:
        return "like the rest"
    return "worse than the rest" if driver.excess > 0 else "big because busy"
