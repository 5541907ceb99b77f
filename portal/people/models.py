"""People, what they are in which organisation, and the keys of external tools."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from portal.people.roles import Role
from portal.tenancy.models import Organisation, TenantOwned


class PersonManager(BaseUserManager["Person"]):
    """Creates people; sign-in looks them up by address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> Person:
        """Create a person who may sign in once they are a member somewhere."""
        person = self.model(email=email.strip().lower(), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser):
    """Somebody who signs in. Global: a person may belong to several organisations."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    time_zone = models.CharField(max_length=64, default="UTC")

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects: ClassVar[PersonManager] = PersonManager()

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name

    @property
    def actor_key(self) -> str:
        """The opaque key under which the audit trail knows this person."""
        return f"person:{self.pk}"

    # Rights come from roles in an organisation (portal/people/roles.py), never from these.
    is_superuser = False

    @property
    def is_staff(self) -> bool:
        """Whether the admin's frame may show; each organisation's admin asks for a role itself."""
        return self.is_active

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """No global permissions exist."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """No global permissions exist."""
        return False


class Membership(models.Model):
    """That a person holds one role in one organisation. Read at sign-in, before any context."""

    tenant = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="memberships")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=30, choices=Role)

    class Meta:
        ordering = ("tenant", "person", "role")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "person", "role"], name="membership_held_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} is {self.get_role_display()}"


class ApiKey(TenantOwned):
    """A key of an external tool; only its SHA-256 is stored (TRUST.md T07)."""

    name = models.CharField(max_length=100)
    #: The first characters, shown so that a leaked key can be recognised.
    prefix = models.CharField(max_length=12)
    digest = models.BinaryField(max_length=32)
    scopes = models.JSONField(default=list)
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "digest"], name="api_key_digest"),
            models.UniqueConstraint(fields=["tenant", "name"], name="api_key_name"),
        ]

    def __str__(self) -> str:
        return self.name


class KeptAnswer(TenantOwned):
    """The answer to an API call with an `Idempotency-Key`, written in the work's transaction.

    Kept for a day (portal/idempotency.py): the same call gets the same bytes instead of acting
    again. The key belongs to the API key that sent it.
    """

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    #: SHA-256 of the sender's `Idempotency-Key`.
    key_digest = models.BinaryField(max_length=32)
    #: SHA-256 of method, path and body: another call under the same key is refused.
    call_digest = models.BinaryField(max_length=32)
    answered_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "api_key", "key_digest"], name="kept_answer_once"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "api_key", "answered_at"], name="kept_answer_by_age")
        ]
