"""The audit trail's one table."""

from __future__ import annotations

from django.db import models

from portal.tenancy.models import TenantOwned


class AuditEntry(TenantOwned):
    """One act, chained to the one before it. Append-only, refused by trigger and by grant.

    An actor is an opaque key and a printed name, so that the trail stays readable after a person
    has been erased.
    """

    sequence = models.BigIntegerField()
    at = models.DateTimeField()
    actor_key = models.CharField(max_length=80)
    actor_name = models.CharField(max_length=200)
    act = models.CharField(max_length=80)
    subject_kind = models.CharField(max_length=80)
    subject_id = models.CharField(max_length=80)
    detail = models.JSONField(default=dict)
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    class Meta:
        ordering = ("tenant", "sequence")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "sequence"], name="audit_sequence"),
        ]
        indexes = [
            models.Index(fields=["tenant", "subject_kind", "subject_id"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.act}"
