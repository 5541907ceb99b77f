"""Method: the handbook of this installation, written from the declarations that compute figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from metrics import words
from metrics.data_quality import WITHOUT_TICKETS
from metrics.deciding_settings import DEFAULTS, settings_of
from metrics.definitions import BY_KEY, Metric
from metrics.kinds import Unit
from metrics.models import SettingsVersion
from metrics.profiles import Proposal, proposed
from metrics.settings import Listed, Settings, listed
from metrics.standing import Direction
from portal.tenancy.models import Organisation

_UNITS = {
    Unit.SHARE: "percent",
    Unit.SECONDS: "business time",
    Unit.SCALE_POINTS: "points of the scale",
    Unit.NET_POINTS: "points, -100 to 100",
    Unit.RATIO: "percent, may exceed 100",
    Unit.DAYS: "business days",
    Unit.COUNT: "a number",
}
_DIRECTIONS = {
    Direction.HIGHER: "higher is better",
    Direction.LOWER: "lower is better",
    Direction.NONE: "no good direction",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A metric with its terms in words."""

    key: str
    name: str
    question: str
    terms: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the settings: when, who, why and what."""

    number: int
    when: str
    by: str
    why: str
    changed: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template shows."""

    entries: tuple[Entry, ...]
    settings: list[Listed]
    settings_version: int
    versions: tuple[Version, ...]
    profile: str
    #: What the organisation's volumes propose.
    proposed: str


def page(tenant: Organisation, now: datetime) -> Page:
    """The page of an organisation, with the settings it has in force."""
    number, settings = settings_of(tenant)
    return Page(
        tuple(_entry(metric, settings) for metric in BY_KEY.values()),
        listed(settings),
        number,
        _versions(tenant),
        settings.profile,
        _proposed(proposed(tenant, now), settings.profile),
    )


def _proposed(found: Proposal | None, profile: str) -> str:
    if found is None:
        return "No tickets of the last 90 days propose one."
    also = "as well" if found.profile == profile else "instead"
    middle = words.rounded(found.tickets_a_month, 0)
    return (
        f"Its volumes propose {found.profile} {also}: of"
        f" {words.count(found.services, 'service', 'services')} the one in the middle had about"
        f" {middle} tickets a month in the last 90 days."
    )


def _entry(metric: Metric, settings: Settings) -> Entry:
    settles = metric.matures_in(settings)
    figures = "; ".join(
        f"{view.name} ({_UNITS[view.unit]}, {_DIRECTIONS[metric.direction_of(view)]}"
        f"{', by severity only' if view.per_severity else ''}"
        f"{'' if view.is_told(settings) else ', not added here'})"
        for view in metric.views
    )
    since = f", since {metric.changed:%d %B %Y}" if metric.changed else ""
    told = (
        ("Formula", metric.formula),
        ("Counted over", metric.population),
        ("Left out", _left_out(metric)),
        ("Counted in", metric.dating_words),
        ("Figures", figures),
        ("Smallest number shown", _smallest(metric)),
        ("Settles after", f"{settles} days" if settles else "at once"),
        ("Never thrown together", metric.never_pooled_across),
        ("Read beside it", metric.evidence),
        ("Of that not kept here", metric.not_kept),
        ("Guardrail", metric.guardrail_words),
        ("Known gaming", metric.gaming),
        ("Where in the software to look when it turns", metric.look_at),
        ("Version", f"{metric.version}{since} ({metric.source})"),
    )
    return Entry(metric.key, metric.name, metric.question, tuple(pair for pair in told if pair[1]))


#: The tickets that are in no figure (METRICS.md 1.1); the scorecard counts them by reason.
_IN_NO_FIGURE = (
    "spam, test tickets, tickets merged into another, deleted ones and those made by a migration"
)


def _left_out(metric: Metric) -> str:
    tickets = "" if metric.key in WITHOUT_TICKETS else _IN_NO_FIGURE
    return "; ".join(said for said in (metric.excluded, tickets) if said)


def _smallest(metric: Metric) -> str:
    if not metric.minimum:
        return ""
    what = "answers" if metric.from_answers else "items where it is published"
    return f"{metric.minimum} {what}"


def _versions(tenant: Organisation) -> tuple[Version, ...]:
    """Every version of the settings, the newest first, each with what it changed."""
    told = [Version(DEFAULTS, "", "", "The defaults of the standard profile.", "")]
    before = listed(Settings())
    for row in SettingsVersion.objects.for_tenant(tenant).order_by("number"):
        now = listed(Settings.of(row.values))
        changed = [
            f"{new.words}: {old.said(old.value)} to {new.said(new.value)}"
            for old, new in zip(before, now, strict=True)
            if old.value != new.value
        ]
        told.append(
            Version(
                row.number,
                f"{timezone.localtime(row.saved_at, tenant.zone):%d %B %Y}",
                row.saved_by,
                row.reason,
                "; ".join(changed) or "nothing that acts",
            )
        )
        before = now
    return tuple(reversed(told))
