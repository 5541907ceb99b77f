"""The settings in force of an organisation, and the act of changing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from metrics.models import SettingsVersion
from metrics.settings import Settings
from portal.audit.trail import Actor, record
from portal.tenancy.models import Organisation

#: The version of an organisation that has changed nothing: the defaults of its profile.
DEFAULTS = 1
CHANGED = "settings.changed"


def settings_of(tenant: Organisation) -> tuple[int, Settings]:
    """The version in force and its values; the profile's defaults where nothing was changed."""
    newest = SettingsVersion.objects.for_tenant(tenant).order_by("-number").first()
    defaults = Settings.of_profile(tenant.profile)
    if newest is None:
        return DEFAULTS, defaults
    return newest.number, defaults.changed(newest.values)


@transaction.atomic
def change_settings(
    *, tenant: Organisation, values: Mapping[str, Any], reason: str, by: Actor, at: datetime
) -> SettingsVersion:
    """Save a new version with some values replaced. Raises SettingsRefused; nothing is saved then.

    Figures of the past keep the version they were stored with; readings from now on name this one.
    """
    with connection.cursor() as cursor:  # two changes at once would be of one number
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('settings'), %s)", [tenant.pk])
    number, before = settings_of(tenant)
    after = before.changed(values)
    old, new = asdict(before), asdict(after)
    version = SettingsVersion.objects.create(
        tenant=tenant,
        number=number + 1,
        values=new,
        reason=reason,
        saved_at=at,
        saved_by=by.name,
    )
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
        },
    )
    return version
