"""Accepting, co-signing, declining and revoking: lock, check, change, record (TRUST.md D)."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from governance import signing
from governance.binding import is_unaltered
from governance.models import Decline, Revocation, Signature, TargetSheet
from governance.targets import life_of, needed, next_period
from portal.audit.trail import Actor, record
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation


class NotTheirs(Exception):
    """The person is not the one whose signature is asked for; nothing was signed."""


class AlreadySigned(Exception):
    """The signature of this role is there already; nothing was changed."""


class CannotBeDeclined(Exception):
    """Who signed a sheet can revoke it, from the next month on, but not undo it backwards."""


class AlreadyDeclined(Exception):
    """The sheet was declined; propose a new one. Nothing was signed."""


class ProposerMayNotCosign(Exception):
    """Whoever proposed a sheet cannot sign it for the business unit; nothing was signed."""


class TermsAltered(Exception):
    """The stored terms no longer match their digest; nothing was signed. Tell an auditor."""


class NothingToRevoke(Exception):
    """Only a sheet that would still hold can be revoked, by a signer; nothing was changed."""


@transaction.atomic
def accept(*, sheet_id: int, by: Person, at: datetime, reauthenticated_at: datetime) -> Signature:
    """The service desk manager takes accountability. Raises as `cosign`."""
    sheet = _open_sheet(sheet_id, Role.SERVICE_DESK_MANAGER)
    if (Role.SERVICE_DESK_MANAGER, by) not in needed(sheet):
        raise NotTheirs("The service desk manager of this domain accepts its targets.")
    return signing.sign(
        sheet=sheet,
        role=Role.SERVICE_DESK_MANAGER,
        by=by,
        at=at,
        reauthenticated_at=reauthenticated_at,
    )


@transaction.atomic
def cosign(*, sheet_id: int, by: Person, at: datetime, reauthenticated_at: datetime) -> Signature:
    """The business unit's lead co-signs.

    Raises NotTheirs, AlreadySigned, AlreadyDeclined, ProposerMayNotCosign, TermsAltered,
    signing.ConfirmAgain or signing.NotTheirRole.
    """
    sheet = _open_sheet(sheet_id, Role.BUSINESS_UNIT_LEAD)
    if sheet.proposed_by_id == by.pk:
        raise ProposerMayNotCosign("Whoever proposed targets cannot sign them for the unit too.")
    if (Role.BUSINESS_UNIT_LEAD, by) not in needed(sheet):
        raise NotTheirs("The lead of the business unit that is served co-signs.")
    return signing.sign(
        sheet=sheet,
        role=Role.BUSINESS_UNIT_LEAD,
        by=by,
        at=at,
        reauthenticated_at=reauthenticated_at,
    )


@transaction.atomic
def decline(*, sheet_id: int, by: Person, reason: str, at: datetime) -> Decline:
    """Refuse to sign, with a reason; a new sheet has to be proposed.

    Raises NotTheirs, CannotBeDeclined, AlreadyDeclined or TermsAltered.
    """
    sheet = _open_sheet(sheet_id, None)
    if by.pk not in [person.pk for role, person in needed(sheet) if role != Role.PROCESS_OWNER]:
        raise NotTheirs("Only somebody whose signature is asked for can decline.")
    if sheet.signatures.filter(person=by).exists():
        raise CannotBeDeclined(
            "You signed this sheet. Once all have signed you can revoke it from the next month on."
        )
    declined = Decline.objects.create(
        tenant_id=sheet.tenant_id, sheet=sheet, person=by, reason=reason, at=at
    )
    _record(sheet, "targets.declined", by, at, reason)
    return declined


@transaction.atomic
def revoke(
    *, tenant: Organisation, sheet_id: int, by: Person, reason: str, at: datetime
) -> Revocation:
    """A signer withdraws, from the next period on; history stays. Raises NothingToRevoke."""
    _lock(sheet_id)
    sheet = TargetSheet.objects.for_tenant(tenant).get(pk=sheet_id)
    if not is_revocable(tenant, sheet, by=by, at=at):
        raise NothingToRevoke(
            "Only a sheet that everybody signed and that still holds next month can be revoked, by"
            " one of its signers. Nothing was changed."
        )
    revoked = Revocation.objects.create(
        tenant=tenant,
        sheet=sheet,
        person=by,
        reason=reason,
        at=at,
        effective_from=next_period(tenant, at),
    )
    _record(sheet, "targets.revoked", by, at, reason)
    return revoked


def is_revocable(tenant: Organisation, sheet: TargetSheet, *, by: Person, at: datetime) -> bool:
    """Whether somebody could still withdraw: they signed, and it would hold next month."""
    life = life_of(sheet, tenant)
    return (
        life.begins is not None
        and life.ends > next_period(tenant, at)
        and not sheet.revocations.exists()
        and sheet.signatures.filter(person=by).exists()
    )


def _lock(sheet_id: int) -> None:
    """Let acts on one sheet follow each other; rows that only grow cannot be locked themselves."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('target_sheet'), hashint8(%s))", [sheet_id]
        )


def _open_sheet(sheet_id: int, role: Role | None) -> TargetSheet:
    _lock(sheet_id)
    sheet = TargetSheet.objects.select_related(
        "domain", "manager", "lead", "proposed_by", "predecessor"
    ).get(pk=sheet_id)
    if sheet.declines.exists():
        raise AlreadyDeclined("This sheet was declined. Propose a new one.")
    if role is not None and sheet.signatures.filter(role=role).exists():
        raise AlreadySigned("This signature is there already.")
    if not is_unaltered(sheet):
        raise TermsAltered("The stored terms do not match their digest. Nothing was signed.")
    return sheet


def _record(sheet: TargetSheet, act: str, by: Person, at: datetime, reason: str) -> None:
    record(
        tenant_id=sheet.tenant_id,
        actor=Actor(by.actor_key, by.name),
        act=act,
        subject_kind="target_sheet",
        subject_id=sheet.pk,
        at=at,
        detail={"reason": reason, "digest": bytes(sheet.digest).hex()},
    )
