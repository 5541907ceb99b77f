"""What measuring keeps: column blocks and the marks that say which of them are stale."""

from __future__ import annotations

from django.db import models

from portal.catalogue.models import Capability
from portal.people.models import Person
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


class SignalAnswer(TenantOwned):
    """What a named person said about a signal of a course: explained, or begun anew. Append-only.

    The course is that of a view of a metric for a capability, of one severity or of all (""). A
    course that was rebased has its limits taken anew from that day on, whatever its step.
    """

    class Kind(models.TextChoices):
        """What was decided."""

        EXPLAINED = "explained", "explained"
        REBASED = "rebased", "limits begun anew"

    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    metric = models.CharField(max_length=100)
    severity = models.CharField(max_length=10, blank=True)
    #: Week, month or quarter: how long the period is in which the signal stood.
    step = models.CharField(max_length=10)
    #: First day of that period.
    day = models.DateField()
    kind = models.CharField(max_length=10, choices=Kind)
    reason = models.CharField(max_length=500)
    answered_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-at", "-id")
        indexes = [
            models.Index(fields=["tenant", "capability", "metric"], name="signal_answer_of_course")
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reason__regex=r"\S"), name="signal_answer_has_reason"
            )
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.day}: {self.kind}"
