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


class ImprovementAction(TenantOwned):
    """What is done about a figure and what is expected of it, written down before acting (D5).

    Append-only. What was wrong is corrected by a new record that names the old one.
    """

    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    #: `metric.view`, a share with a good direction.
    metric = models.CharField(max_length=80)
    words = models.CharField(max_length=500)
    #: The local day of acting; it and the days of transition after it belong to neither window.
    acts_on = models.DateField()
    transition_days = models.PositiveSmallIntegerField(default=1)
    days_before = models.PositiveSmallIntegerField(default=60)
    days_after = models.PositiveSmallIntegerField(default=60)
    #: Of similar volume, where nobody acts.
    comparison = models.ForeignKey(
        Capability, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: The change of the share that is expected, -1 to 1.
    expected = models.DecimalField(max_digits=5, decimal_places=4)
    corrects = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-acts_on", "-id")
        indexes = [models.Index(fields=["tenant", "capability"], name="action_of_capability")]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "id", "capability"], name="action_of_its_capability"
            ),
            models.UniqueConstraint(fields=["tenant", "corrects"], name="action_corrected_once"),
            models.CheckConstraint(condition=models.Q(words__regex=r"\S"), name="action_has_words"),
            models.CheckConstraint(
                condition=models.Q(
                    days_before__range=(7, 366),
                    days_after__range=(7, 366),
                    transition_days__lte=180,
                ),
                name="action_windows",
            ),
            models.CheckConstraint(
                condition=models.Q(expected__gte=-1, expected__lte=1) & ~models.Q(expected=0),
                name="action_expects_a_change",
            ),
            models.CheckConstraint(
                condition=models.Q(comparison__isnull=True)
                | ~models.Q(comparison=models.F("capability")),
                name="action_compared_with_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.words} from {self.acts_on}"


class SurveyPilot(TenantOwned):
    """A new survey of a domain on trial, and what its lead said moves people (D6). Append-only."""

    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="+")
    #: The first local day; 60 days, and 30 for each extension.
    begins = models.DateField()
    #: Whom the interview was with, and when.
    interviewed = models.CharField(max_length=200)
    interviewed_on = models.DateField()
    #: Two or three drivers, each a list of phrases: its name, and other words for it.
    drivers = models.JSONField()
    recorded_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-begins", "-id")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "domain", "begins"], name="pilot_begins"),
            models.CheckConstraint(
                condition=models.Q(interviewed__regex=r"\S"), name="pilot_interviewed"
            ),
            models.CheckConstraint(
                condition=models.Q(interviewed_on__lte=models.F("begins")),
                name="pilot_interviewed_first",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.domain} from {self.begins}"


class PilotDecision(TenantOwned):
    """What one of those who decide says becomes of a pilot, with the reason. Append-only (D6)."""

    class Kind(models.TextChoices):
        """What becomes of it."""

        EXTENDED = "extended", "extend by 30 days"
        PASSED = "passed", "the survey measures what matters"
        FAILED = "failed", "fail: ask the domain's lead again and change the question"
        #: After two extensions only; looked at again after a year.
        ADOPTED = "adopted", "adopt on judgement, evidence thin"

    pilot = models.ForeignKey(SurveyPilot, on_delete=models.PROTECT, related_name="decisions")
    #: 1, and one more for each extension.
    round = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    reason = models.CharField(max_length=500)
    #: In which role they decide.
    role = models.CharField(max_length=30)
    decided_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ("round", "id")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "pilot", "round", "role"], name="pilot_decided_once_a_role"
            ),
            models.UniqueConstraint(
                fields=["tenant", "pilot", "round"],
                condition=models.Q(kind="extended"),
                name="pilot_extended_once_a_round",
            ),
            models.CheckConstraint(
                condition=models.Q(reason__regex=r"\S"), name="pilot_decided_with_reason"
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=("process_owner", "service_desk_manager")),
                name="pilot_decided_by_role",
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(round__in=(1, 2), kind__in=("extended", "passed", "failed"))
                    | models.Q(round=3, kind__in=("passed", "failed", "adopted"))
                ),
                name="pilot_extended_twice_at_most",
            ),
        ]
