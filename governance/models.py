"""Deciding: sheets of targets, their exact terms, and who signed them. Everything only grows.

Status is computed from these rows (governance/targets.py) and stored nowhere. A signature is bound
to (sheet, digest) by a composite foreign key, so no signature can stand under terms it was not
given to.
"""

from __future__ import annotations

from django.db import models

from portal.catalogue.models import Capability, Domain
from portal.people.models import Person
from portal.tenancy.models import TenantOwned


class TargetSheet(TenantOwned):
    """Every target of a domain for a period, signed as one."""

    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="target_sheets")
    #: Local days, effective_from <= day < effective_until, 12 months at most.
    effective_from = models.DateField()
    effective_until = models.DateField()
    rationale = models.TextField()
    predecessor = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    proposed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    #: Whether the business unit's lead has to sign (TRUST.md D), as it stood at the proposal.
    needs_business_unit_lead = models.BooleanField()
    #: How many different persons have to sign, as it stood at the proposal.
    persons = models.PositiveSmallIntegerField(db_default=2)
    manager = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    lead = models.ForeignKey(
        Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: The sheet's own terms as canonical JSON.
    terms = models.TextField()
    #: SHA-256 over the sheet's own terms and the digests of its targets, in order.
    digest = models.BinaryField(max_length=32)

    class Meta:
        ordering = ("-proposed_at", "-id")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id", "digest"], name="sheet_digest"),
            models.CheckConstraint(
                condition=models.Q(effective_until__gt=models.F("effective_from")),
                name="sheet_period",
            ),
            # Two persons at least, and whoever signs for the business unit is nobody else on the
            # sheet; process owner and manager may be one person where the lead signs.
            models.CheckConstraint(
                condition=(
                    models.Q(needs_business_unit_lead=True, lead__isnull=False)
                    & ~models.Q(lead=models.F("proposed_by"))
                    & ~models.Q(lead=models.F("manager"))
                )
                | (
                    models.Q(needs_business_unit_lead=False, lead__isnull=True)
                    & ~models.Q(manager=models.F("proposed_by"))
                ),
                name="sheet_signed_by_others_too",
            ),
            models.CheckConstraint(
                condition=models.Q(persons=2)
                | (
                    models.Q(persons=3, lead__isnull=False)
                    & ~models.Q(manager=models.F("proposed_by"))
                ),
                name="sheet_signed_by_so_many",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.domain.name} from {self.effective_from}"


class Target(TenantOwned):
    """One target of a sheet: its terms as canonical JSON, and their digest."""

    sheet = models.ForeignKey(TargetSheet, on_delete=models.PROTECT, related_name="targets")
    position = models.PositiveSmallIntegerField()
    #: `metric.view`.
    metric = models.CharField(max_length=80)
    #: Null: each capability of the domain.
    capability = models.ForeignKey(
        Capability, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    severity = models.CharField(max_length=10, blank=True)
    #: Shares 0 to 1, durations in business seconds.
    value = models.DecimalField(max_digits=12, decimal_places=4)
    terms = models.TextField()
    digest = models.BinaryField(max_length=32)

    class Meta:
        ordering = ("sheet", "position")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "sheet", "position"], name="target_position"),
        ]


class Signature(TenantOwned):
    """That one person, in one role, signed exactly these terms (TRUST.md D4)."""

    sheet = models.ForeignKey(TargetSheet, on_delete=models.PROTECT, related_name="signatures")
    sheet_digest = models.BinaryField(max_length=32)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=30)
    printed_name = models.CharField(max_length=200)
    #: The exact sentence that was shown, and its SHA-256.
    sentence = models.TextField()
    sentence_digest = models.BinaryField(max_length=32)
    reauthenticated_at = models.DateTimeField()
    at = models.DateTimeField()

    class Meta:
        ordering = ("at", "id")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "sheet", "role"], name="signed_once_a_role"),
            models.UniqueConstraint(
                fields=["tenant", "sheet", "person"], name="signed_once_a_person"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    at__gte=models.F("reauthenticated_at"),
                ),
                name="signed_after_confirming",
            ),
        ]


class Decline(TenantOwned):
    """That somebody whose signature is needed refused, and why."""

    sheet = models.ForeignKey(TargetSheet, on_delete=models.PROTECT, related_name="declines")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    at = models.DateTimeField()


class Revocation(TenantOwned):
    """That a signer withdrew; from the next period on, history stays."""

    sheet = models.ForeignKey(TargetSheet, on_delete=models.PROTECT, related_name="revocations")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    at = models.DateTimeField()
    effective_from = models.DateField()
