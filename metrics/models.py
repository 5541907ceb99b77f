"""What measuring keeps: column blocks and the marks that say which of them are stale."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from metrics.rubric import ErrorIn
from portal.catalogue.models import Capability
from portal.people.models import Person
from portal.tenancy.models import TenantOwned
from tickets.models import Ticket

LAYOUT_DIGITS = 16


class NumbersField(models.Field):  # type: ignore[type-arg]
    """An array of whole numbers, `integer` or `bigint`; written and read by SQL alone."""

    def __init__(self, of: str, **more: Any) -> None:
        self.of = of
        super().__init__(**more)

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Its type in PostgreSQL."""
        return f"{self.of}[]"

    def deconstruct(self) -> Any:
        """How a migration writes it."""
        name, path, args, kwargs = super().deconstruct()
        return name, path, [self.of, *args], kwargs


class Block(TenantOwned):
    """One local day of one fact kind (metrics/packing.py). A cache: dropping it loses nothing."""

    pk = models.CompositePrimaryKey("tenant_id", "kind", "day")
    kind = models.CharField(max_length=20)
    day = models.DateField()
    #: Number of rows packed in `columns`.
    rows = models.PositiveIntegerField()
    #: Fingerprint of the columns and zone it was packed with; another one is packed anew.
    layout = models.CharField(max_length=LAYOUT_DIGITS)
    #: That of its kind when it was packed (`Packing`).
    version = models.BigIntegerField(default=0)
    #: Whose rows are there, in their order; 0: nobody said of which capability.
    capabilities = NumbersField("integer")
    #: Where each one's part ends: the row times 2**32, plus the byte of the stream.
    ends = NumbersField("bigint")
    columns = models.BinaryField()
    #: What did not fit its slot.
    far = models.BinaryField()


class Packing(TenantOwned):
    """How often blocks of a kind were packed: who kept what they held asks only for newer ones.

    A version is greater than every one before it, also where a backup was restored in between:
    they count the microseconds since 1970 at which they were packed.
    """

    pk = models.CompositePrimaryKey("tenant_id", "kind")
    kind = models.CharField(max_length=20)
    version = models.BigIntegerField()


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

    Version 1 is no row: the defaults of the standard profile.
    """

    number = models.PositiveIntegerField()
    #: What was decided; for everything else the defaults of the profile hold.
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


class Observation(TenantOwned):
    """What somebody saw that no ticket tells, in their words. Append-only.

    Whoever reads it learns in what role it was written, not by whom: that stands apart, in
    `ObservationAuthor`.
    """

    class Standpoint(models.TextChoices):
        """In what role somebody speaks."""

        AGENT = "agent", "an agent"
        ACCOUNT = "account", "account or customer success"
        BUSINESS_UNIT = "business_unit", "the business unit"
        SERVICE = "service", "those who run the service"

    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    #: The metric it is read beside; empty: the service in general.
    metric = models.CharField(max_length=100, blank=True)
    standpoint = models.CharField(max_length=15, choices=Standpoint)
    text = models.CharField(max_length=1000)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-at", "-id")
        indexes = [
            models.Index(fields=["tenant", "capability", "at"], name="observation_by_capability")
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(text__regex=r"\S"), name="observation_has_words"
            )
        ]

    def __str__(self) -> str:
        return f"observation {self.pk}"


class ObservationAuthor(TenantOwned):
    """Who wrote an observation: the database shows the web role its own person's rows only.

    Removed when it is 13 months old, as other attribution is (metrics/observing.py).
    """

    observation = models.OneToOneField(Observation, on_delete=models.PROTECT, related_name="author")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")


class ObservationAnswer(TenantOwned):
    """What became of an observation, by whom who runs the service. Append-only; the last counts."""

    class Outcome(models.TextChoices):
        """What was decided."""

        READ = "read", "read, and kept beside the figures"
        ACTED = "acted", "something is being changed"
        NOTHING = "nothing", "nothing is changed"

    observation = models.ForeignKey(Observation, on_delete=models.PROTECT, related_name="answers")
    outcome = models.CharField(max_length=10, choices=Outcome)
    reason = models.CharField(max_length=500)
    answered_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-at", "-id")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reason__regex=r"\S"), name="observation_answer_has_reason"
            )
        ]

    def __str__(self) -> str:
        return f"{self.observation_id}: {self.outcome}"


class QualityReview(TenantOwned):
    """How one resolution was handled, by the rubric (metrics/rubric.py). Append-only.

    About the work, never a person: who did it is not here, and what is read beside figures comes
    in batches (`QualityRelease`), without its ticket.
    """

    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="+")
    #: The reviewed resolution, with the values of that moment (tickets.Resolution.event_key).
    event_key = models.BigIntegerField()
    resolved_at = models.DateTimeField()
    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    rubric = models.PositiveSmallIntegerField()
    #: A mark for every question of that version of the rubric.
    marks = models.JSONField()
    error_in = models.CharField(
        max_length=20, blank=True, choices=[(place.value, place.label) for place in ErrorIn]
    )
    note = models.CharField(max_length=1000, blank=True)
    at = models.DateTimeField()
    #: The reviewer as the audit trail names them.
    by_key = models.CharField(max_length=40)
    by_name = models.CharField(max_length=200)

    class Meta:
        ordering = ("-at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "ticket", "event_key", "by_key"],
                name="quality_review_once_a_reviewer",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "resolved_at"], name="quality_review_by_resolution")
        ]

    def __str__(self) -> str:
        return f"quality review {self.pk}"


class QualityRelease(TenantOwned):
    """That a quality review may be read by others than its author: it came in a batch that points
    at nobody. Written by workers, who alone may ask who did the work. Append-only."""

    review = models.OneToOneField(QualityReview, on_delete=models.PROTECT, related_name="release")
    at = models.DateTimeField()


class DeclaredComparison(TenantOwned):
    """Two parts of a service that somebody named for comparing before the period began (D2).

    Up to five for a service and period; they are corrected by Holm's rule and for themselves,
    because nobody looked for them in what had already happened. Append-only.
    """

    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    #: A view of a metric.
    metric = models.CharField(max_length=100)
    #: Of one severity, or of all ("").
    severity = models.CharField(max_length=10, blank=True)
    #: What the parts are parts by (tickets/segments.py, or severity), and the two of them.
    by = models.CharField(max_length=20)
    one = models.CharField(max_length=20)
    other = models.CharField(max_length=20)
    #: Local days, start <= day < until, and the instant at which the first one begins.
    start = models.DateField()
    until = models.DateField()
    starts_at = models.DateTimeField()
    #: 1 to 5 within the service and period.
    number = models.PositiveSmallIntegerField()
    expected = models.CharField(max_length=500)
    declared_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-start", "number")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "capability", "start", "until", "number"],
                name="declared_comparison_number",
            ),
            models.CheckConstraint(
                condition=models.Q(number__gte=1, number__lte=5), name="declared_at_most_five"
            ),
            models.CheckConstraint(
                condition=models.Q(at__lt=models.F("starts_at")), name="declared_beforehand"
            ),
            models.CheckConstraint(
                condition=models.Q(start__lt=models.F("until")), name="declared_period"
            ),
            models.CheckConstraint(
                condition=~models.Q(one=models.F("other")), name="declared_two_parts"
            ),
            models.CheckConstraint(
                condition=models.Q(expected__regex=r"\S"), name="declared_with_expectation"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric}: {self.one} against {self.other} from {self.start}"


class Occurrence(TenantOwned):
    """Something known that a figure may follow: a release, a new bot, a policy, staffing (D4).

    Marked on every course of the service it touches. Taken off again it is gone, and the audit
    trail has kept it.
    """

    class Kind(models.TextChoices):
        """What happened."""

        RELEASE = "release", "release"
        BOT = "bot", "bot introduced"
        POLICY = "policy", "policy changed"
        STAFFING = "staffing", "staffing changed"
        ACTION = "action", "improvement action"

    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    #: The local day it happened.
    day = models.DateField()
    words = models.CharField(max_length=200)
    told_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        ordering = ("day", "id")
        indexes = [models.Index(fields=["tenant", "capability", "day"], name="occurrence_by_day")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(words__regex=r"\S"), name="occurrence_has_words"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.words}"


class DrawnItem(TenantOwned):
    """A classified work item that chance chose to be read by a second person. Append-only (M25).

    Known by its ticket and number, which outlive a new folding of the ticket.
    """

    ticket = models.ForeignKey(Ticket, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField()
    #: The capability it was drawn for.
    capability = models.ForeignKey(Capability, on_delete=models.PROTECT, related_name="+")
    #: The Monday of the week in which it was opened.
    week = models.DateField()
    drawn_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "ticket", "number"], name="drawn_once"),
        ]
        indexes = [models.Index(fields=["tenant", "capability", "week"], name="drawn_of_week")]


class SecondReading(TenantOwned):
    """What a second person read in a drawn item, said once. Append-only (METRICS.md M25)."""

    class Says(models.TextChoices):
        """Whether people should be able to do it themselves."""

        ROUTINE = "routine", "People should be able to do this themselves"
        OURS = "ours", "This needs us"
        UNCLEAR = "unclear", "The words do not say"

    drawn = models.OneToOneField(DrawnItem, on_delete=models.PROTECT, related_name="reading")
    says = models.CharField(max_length=10, choices=Says)
    #: The reader as the audit trail names them.
    by_key = models.CharField(max_length=40)
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(says__in=("routine", "ours", "unclear")),
                name="second_reading_says",
            ),
        ]
