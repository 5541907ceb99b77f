"""What measuring keeps: column blocks and the marks that say which of them are stale."""

from __future__ import annotations

from django.db import models

from portal.tenancy.models import TenantOwned

LAYOUT_DIGITS = 16


class Block(TenantOwned):
    """One local day of one fact kind as fixed-width columns. A cache: dropping it loses nothing."""

    pk = models.CompositePrimaryKey("tenant_id", "kind", "day")
    kind = models.CharField(max_length=20)
    day = models.DateField()
    #: Number of rows packed in `columns`.
    rows = models.PositiveIntegerField()
    #: Fingerprint of the columns and zone it was packed with; another one is packed anew.
    layout = models.CharField(max_length=LAYOUT_DIGITS)
    columns = models.BinaryField()


class Mark(TenantOwned):
    """That a day of a fact kind changed after its block was packed. Written by triggers on the
    fact tables, in the change's own transaction, without a unique key (no two writers wait)."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=20)
    day = models.DateField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "kind", "day"], name="mark_by_day")]


class SettingsVersion(TenantOwned):
    """What an organisation decided about measuring (metrics/settings.py). Append-only.

    Version 1 is no row: the defaults of the profile.
    """

    number = models.PositiveIntegerField()
    values = models.JSONField()
    reason = models.CharField(max_length=300)
    saved_at = models.DateTimeField()
    saved_by = models.CharField(max_length=200)

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="settings_version_number"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"
