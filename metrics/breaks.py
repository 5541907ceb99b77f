"""Where a course begins anew: what its values follow from was changed, and when (METRICS.md D4).

A rebase by somebody, another definition, other settings, another way of asking, and what the
catalogue says of a service. Found from what is recorded with its date. Another scale of the answers
is seen in the answers themselves (metrics/trends.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime

from django.utils import timezone
from django.utils.text import capfirst

from metrics import columns
from metrics.definitions import find
from metrics.models import SettingsVersion, SignalAnswer
from metrics.settings import Settings
from metrics.tracing import rests_on
from metrics.trends import Break
from portal.audit.models import AuditEntry
from portal.catalogue.models import Capability, TimeTarget
from portal.tenancy.models import Organisation
from surveys.models import Campaign
from surveys.wording import wording_of

#: What the figures of answers follow from besides the settings: whom a campaign asks, and how.
ASKING = "asking"
#: What the promises of each clock follow from.
_PROMISE = {
    TimeTarget.Clock.FIRST_MEANINGFUL_RESPONSE: "promised reply",
    TimeTarget.Clock.RESOLUTION: "promised resolution",
}
#: The promise whose decisions a kind of rows holds; both replies are held against one.
_PROMISED: Mapping[columns.Kind, str] = {
    columns.FIRST_RESPONSES: "promised reply",
    columns.MEANINGFUL_RESPONSES: "promised reply",
    columns.RESOLUTION_PROMISES: "promised resolution",
}


@dataclass(frozen=True, slots=True)
class Change:
    """From which day on something is otherwise, and the names of what was changed."""

    broken: Break
    changed: frozenset[str]


def breaks_of(name: str, answers: Iterable[SignalAnswer], changes: Iterable[Change]) -> list[Break]:
    """Where the course of a view begins anew: rebased, defined otherwise, or what it follows from
    was changed."""
    definition, _ = find(name)
    found = [
        Break(answer.day, f"begun anew by {answer.printed_name}: {answer.reason}")
        for answer in answers
        if answer.kind == SignalAnswer.Kind.REBASED
    ]
    if definition.changed is not None:
        found.append(Break(definition.changed, f"definition {definition.version} from here"))
    followed = follows_from(name)
    return [*found, *(one.broken for one in changes if one.changed & followed)]


def follows_from(name: str) -> frozenset[str]:
    """The names of everything whose change makes the course of a view another one."""
    definition, _ = find(name)
    found = definition.settings_used | definition.catalogue_used
    if "answer_days" in definition.settings_used:
        found |= {ASKING}
    kind = rests_on(name)
    if kind is not None and kind in _PROMISED:
        found |= {_PROMISED[kind]}
    return found


def changes_of(capability: Capability, severity: str = "") -> list[Change]:
    """Everything recorded that a course of a capability may follow from, of a severity or all."""
    return [
        *settings_changes(capability.tenant),
        *_asking(capability),
        *_promised(capability, severity),
        *_catalogue(capability),
    ]


def settings_changes(tenant: Organisation) -> list[Change]:
    """Every version of the settings."""
    found, before = [], asdict(Settings())
    saved = SettingsVersion.objects.for_tenant(tenant).order_by("number")
    for number, at, values in saved.values_list("number", "saved_at", "values"):
        now = asdict(Settings.of(values))
        found.append(
            Change(
                Break(_day(at, tenant), f"settings version {number} from here"),
                frozenset(name for name in now if now[name] != before[name]),
            )
        )
        before = now
    return found


def _asking(capability: Capability) -> list[Change]:
    """Where a campaign begins or ends, and other words of the survey.

    Nothing else of a campaign changes once it has begun: the database refuses it.
    """
    tenant, found = capability.tenant, list[Change]()
    for campaign in Campaign.objects.for_tenant(tenant):
        begun = Break(_day(campaign.starts_at, tenant), f"asked by “{campaign.name}” from here")
        found.append(Change(begun, frozenset({ASKING})))
        if campaign.ends_at is not None:
            over = Break(
                _day(campaign.ends_at, tenant), f"no longer asked by “{campaign.name}” from here"
            )
            found.append(Change(over, frozenset({ASKING})))
    changed = wording_of(capability.domain.key).changed
    if changed is not None:
        found.append(Change(Break(changed, "asked in other words from here"), frozenset({ASKING})))
    return found


def _promised(capability: Capability, severity: str) -> list[Change]:
    """Where other times are promised, one break a day and clock; since ever is none."""
    targets = TimeTarget.objects.for_tenant(capability.tenant).filter(
        domain=capability.domain_id, valid_from__isnull=False, clock__in=_PROMISE
    )
    if severity:
        targets = targets.filter(severity=severity)
    days = {
        (_day(target.valid_from, capability.tenant), _PROMISE[TimeTarget.Clock(target.clock)])
        for target in targets
        if target.valid_from is not None
    }
    return [
        Change(Break(day, "other times are promised from here"), frozenset({promise}))
        for day, promise in sorted(days)
    ]


def _catalogue(capability: Capability) -> list[Change]:
    """Where the administration changed what the catalogue says of the capability."""
    entries = AuditEntry.objects.for_tenant(capability.tenant).filter(
        act="capability.changed", subject_kind="capability", subject_id=str(capability.pk)
    )
    return [
        Change(
            Break(_day(at, capability.tenant), f"{label.lower()} changed in the catalogue"),
            frozenset({name}),
        )
        for at, detail in entries.order_by("sequence").values_list("at", "detail")
        for name, label in _labels().items()
        if label in detail["fields"]
    ]


def _labels() -> dict[str, str]:
    """What a form calls each of the catalogue's fields."""
    fields = Capability._meta.local_concrete_fields
    return {field.name: str(capfirst(field.verbose_name)) for field in fields}


def _day(at: datetime, tenant: Organisation) -> date:
    return timezone.localtime(at, tenant.zone).date()
