"""Organisations, and what it means for a row to belong to one."""

from __future__ import annotations

from typing import Any, Self
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import models


def validate_zone(name: str) -> None:
    """Refuse a name that is not an IANA time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValidationError(f"{name!r} is not a time zone, for example Europe/Berlin.") from error


class Organisation(models.Model):
    """One tenant. Holds nothing private: it is read before any row security context exists."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    #: The reporting zone decides which local day and period an instant belongs to.
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_zone])

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        """The reporting zone."""
        return ZoneInfo(self.time_zone)


class TenantQuerySet[M: models.Model](models.QuerySet[M]):
    """Every read of a tenant's rows begins with `for_tenant`; row security is the second wall."""

    def for_tenant(self, tenant: Organisation | int) -> Self:
        """Rows of one organisation."""
        return self.filter(tenant=tenant)


class TenantOwned(models.Model):
    """A row of one organisation. Its migration must name it in `protect()`."""

    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")

    objects: models.Manager[Any] = TenantQuerySet.as_manager()

    class Meta:
        abstract = True


class Door(models.Model):
    """Which organisation a secret opens, known by its SHA-256 only.

    Stands outside row security on purpose: a survey token, an API key or a hook secret arrives
    before anyone knows whose it is. Holds nothing private.
    """

    digest = models.BinaryField(primary_key=True, max_length=32)
    kind = models.CharField(
        max_length=20,
        choices=[("survey", "survey link"), ("api_key", "API key"), ("hook", "inbound hook")],
    )
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.kind} of organisation {self.tenant_id}"


class Due(models.Model):
    """That an organisation has work of a kind from an instant on; the work itself is elsewhere.

    Stands outside row security so that a worker can find the organisations to enter.
    """

    pk = models.CompositePrimaryKey("tenant_id", "kind")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=40)
    due_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["kind", "due_at"], name="due_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind} of organisation {self.tenant_id}"
