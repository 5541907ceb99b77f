"""The settings in force of an organisation, and the act of changing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from metrics.definitions import FOLDED
from metrics.models import SettingsVersion
from metrics.settings import ADDED, Settings
from portal.audit.trail import Actor, record
from portal.catalogue.severity import SeverityPolicy
from portal.tenancy.models import Organisation
from surveys.asking_rules import change_answer_window
from tickets.fold_rules import change_fold_rules
from tickets.timeline import Windows

#: The version of an organisation that has changed nothing: the standard profile's defaults.
DEFAULTS = 1
CHANGED = "settings.changed"


def settings_of(tenant: Organisation) -> tuple[int, Settings]:
    """The version in force and its values; the profile's defaults where nothing was decided."""
    number, decided = _decided(tenant)
    return number, Settings.of(decided)


def _decided(tenant: Organisation) -> tuple[int, dict[str, Any]]:
    newest = SettingsVersion.objects.for_tenant(tenant).order_by("-number").first()
    return (DEFAULTS, {}) if newest is None else (newest.number, newest.values)


@transaction.atomic
def change_settings(
    *, tenant: Organisation, values: Mapping[str, Any], reason: str, by: Actor, at: datetime
) -> SettingsVersion:
    """Save a new version with some values replaced. Raises SettingsRefused; nothing is saved then.

    Figures of the past keep the version they were stored with; readings from now on name this one.
    Other rules of the fold let every stored ticket be folded again.
    """
    with connection.cursor() as cursor:  # two changes at once would be of one number
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('settings'), %s)", [tenant.pk])
    number, decided = _decided(tenant)
    before = Settings.of(decided)
    decided = _with(decided, before, values)
    after = Settings.of(decided)
    old, new = asdict(before), asdict(after)
    version = SettingsVersion.objects.create(
        tenant=tenant,
        number=number + 1,
        values=decided,
        reason=reason,
        saved_at=at,
        saved_by=by.name,
    )
    restated = _act_below(tenant, before, after, at)
    record(
        tenant_id=tenant.pk,
        actor=by,
        act=CHANGED,
        subject_kind="settings",
        subject_id=version.number,
        at=at,
        detail={
            "reason": reason,
            "changed": {n: [old[n], new[n]] for n in new if old[n] != new[n]},
            **({"restated": restated} if restated else {}),
        },
    )
    return version


def _with(
    decided: Mapping[str, Any], before: Settings, values: Mapping[str, Any]
) -> dict[str, Any]:
    """What is decided once these values are: what differs from what is in force.

    What is set to the default of its profile is decided no more, and follows the profile from then
    on; what is left as it is does not become a decision. Raises SettingsRefused.
    """
    asked = before.changed(values)
    given = {n: v for n in values if (v := getattr(asked, n)) != getattr(before, n)}
    defaults = Settings.of_profile(asked.profile)
    default = {n for n, v in given.items() if n != "profile" and v == getattr(defaults, n)}
    return {n: v for n, v in {**decided, **given}.items() if n not in default}


def _act_below(tenant: Organisation, before: Settings, after: Settings, at: datetime) -> str:
    """Let the fold and the invitations know what concerns them; returns what is restated by it."""
    if before.answer_days != after.answer_days:
        change_answer_window(tenant.pk, timedelta(days=after.answer_days), at=at)
    if all(getattr(before, name) == getattr(after, name) for name in FOLDED):
        return ""
    change_fold_rules(
        tenant.pk,
        windows=Windows(
            reopen=timedelta(days=after.reopen_days),
            courtesy=timedelta(hours=after.courtesy_hours),
            misclick=timedelta(minutes=after.misclick_minutes),
        ),
        triage=timedelta(minutes=after.triage_minutes),
        severity_policy=SeverityPolicy(after.severity_policy),
        written_line=after.written_line == ADDED,
        at=at,
    )
    return "every ticket is folded again: periods that are over are told by the new rules"
