"""What is served, by whom it is owned, and when work is done on it."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from portal.catalogue.business_time import BadCalendar, CalendarRules
from portal.catalogue.severity import SEVERITY_CHOICES
from portal.people.models import Person
from portal.tenancy.models import TenantOwned, validate_zone


class BusinessCalendar(TenantOwned):
    """A named calendar; its rules stand in versions (METRICS.md 1.3)."""

    name = models.CharField(max_length=100)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="calendar_name"),
        ]

    def __str__(self) -> str:
        return self.name


class CalendarVersion(TenantOwned):
    """The rules of a calendar while they were in force.

    `hours` {"mon": [["09:00", "17:00"]]}, `shifts` {"2026-12-24": [["09:00", "12:00"]]} replaces a
    date's weekly hours, `breaks` {"2026-05-04": [["12:00", "13:00"]]} is removed, `holidays`
    ["2026-12-25", "01-01"] removes whole local dates, once or every year.
    """

    calendar = models.ForeignKey(
        BusinessCalendar, on_delete=models.CASCADE, related_name="versions"
    )
    time_zone = models.CharField(max_length=64, validators=[validate_zone])
    hours = models.JSONField()
    shifts = models.JSONField(default=dict, blank=True)
    breaks = models.JSONField(default=dict, blank=True)
    holidays = models.JSONField(default=list, blank=True)
    #: Null: since ever. Half-open: valid_from <= t < valid_until.
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("calendar", models.F("valid_from").asc(nulls_first=True))
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "calendar", "valid_from"],
                name="calendar_version_start",
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.calendar} from {self.valid_from or 'ever'}"

    def clean(self) -> None:
        """Refuse rules that cannot be read, and a second version for the same moment.

        Either would stop every clock of the domains that keep this calendar.
        """
        try:
            CalendarRules.from_dict(
                {
                    name: getattr(self, name)
                    for name in ("time_zone", "hours", "shifts", "breaks", "holidays")
                }
            )
        except BadCalendar as error:
            raise ValidationError(str(error)) from error
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise ValidationError("The version ends before it begins.")
        if self.calendar_id is not None and self._others_in_force().exists():
            raise ValidationError(
                "Another version of this calendar is in force then: end that one first."
            )

    def _others_in_force(self) -> models.QuerySet[CalendarVersion]:
        others = CalendarVersion.objects.for_tenant(self.calendar.tenant_id).filter(
            calendar=self.calendar_id
        )
        if self.valid_until:
            others = others.filter(Q(valid_from=None) | Q(valid_from__lt=self.valid_until))
        if self.valid_from:
            others = others.filter(Q(valid_until=None) | Q(valid_until__gt=self.valid_from))
        return others.exclude(pk=self.pk)


class Domain(TenantOwned):
    """IT, HR, Legal, Finance, Facilities: who runs the desk and which hours it keeps."""

    #: Names the survey wording, `surveys/domains/<key>.toml`.
    key = models.SlugField(max_length=40)
    name = models.CharField(max_length=100)
    calendar = models.ForeignKey(BusinessCalendar, on_delete=models.PROTECT, related_name="+")
    service_desk_manager = models.ForeignKey(
        Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: TRUST.md D: always for HR, Facilities, Legal and Finance; an organisation decides for IT.
    needs_business_unit_lead = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="domain_key")]

    def __str__(self) -> str:
        return self.name


class BusinessUnit(TenantOwned):
    """The part of the organisation that is served, and its lead who co-signs."""

    name = models.CharField(max_length=100)
    lead = models.ForeignKey(
        Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("name",)
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="unit_name")]

    def __str__(self) -> str:
        return self.name


class Capability(TenantOwned):
    """Something people can be served with; every figure is told per capability first."""

    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=150)
    description = models.TextField(blank=True)
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="capabilities")
    business_unit = models.ForeignKey(
        BusinessUnit, on_delete=models.PROTECT, null=True, blank=True, related_name="capabilities"
    )
    process_owner = models.ForeignKey(
        Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    policy_owner = models.ForeignKey(
        Person, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: On the list of what people should be able to do themselves (METRICS.md M25).
    self_service = models.BooleanField(default=False)
    #: False for hardware, approvals, moves: left out of *net* first contact resolution (M16).
    first_contact_resolvable = models.BooleanField(default=True)
    #: Who uses it is an advanced user (METRICS.md D1).
    advanced = models.BooleanField(default=False)
    #: An action this quick leaves nobody waiting: the threshold of METRICS.md M10, milliseconds.
    #: Null: no estimate from telemetry. A change begins a new series.
    quick_within_ms = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("domain", "name")
        verbose_name_plural = "capabilities"
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="capability_slug")]

    def __str__(self) -> str:
        return self.name


class SeverityCalendar(TenantOwned):
    """The calendar of one severity in one domain where it is not the domain's own.

    No row means: round the clock for critical, the domain's calendar for the others.
    """

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="severity_calendars")
    severity = models.CharField(max_length=10, choices=SEVERITY_CHOICES)
    calendar = models.ForeignKey(BusinessCalendar, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "domain", "severity"], name="severity_calendar_once"
            ),
        ]


class TimeTarget(TenantOwned):
    """A promise for each single item: the business seconds it may take, by severity.

    The version in force when an item opened is the one it is judged by (METRICS.md M15).
    """

    class Clock(models.TextChoices):
        FIRST_MEANINGFUL_RESPONSE = "first_meaningful_response"
        FIRST_RESPONSE = "first_response"
        RESOLUTION = "resolution"

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="time_targets")
    severity = models.CharField(max_length=10, choices=SEVERITY_CHOICES)
    clock = models.CharField(max_length=30, choices=Clock)
    seconds = models.PositiveIntegerField()
    #: Null: since ever.
    valid_from = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "domain", "severity", "clock", "valid_from"],
                name="time_target_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=models.Q(seconds__gt=0), name="time_target_positive"),
        ]
