"""Accepting, co-signing, declining and revoking: lock, check, change, record (TRUST.md D)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from governance import signing, terms
from governance.models import Decline, Revocation, Signature, TargetSheet
from governance.targets import in_force_from, next_period
from portal.audit.trail import Actor, record
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation


class NotTheirs(Exception):
    """The person is not the one whose signature is asked for; nothing was signed."""


class AlreadySigned(Exception):
    """The signature of this role is there already; nothing was changed."""


class AlreadyDeclined(Exception):
    """The sheet was declined; propose a new one. Nothing was signed."""


class ProposerMayNotCosign(Exception):
    """Whoever proposed a sheet cannot sign it for the business unit; nothing was signed."""


class TermsAltered(Exception):
    """The stored terms no longer match their digest; nothing was signed. Tell an auditor."""


class NothingToRevoke(Exception):
    """Only a signed sheet can be revoked, by one of its signers; nothing was changed."""


@transaction.atomic
def accept(*, sheet_id: int, by: Person, at: datetime, reauthenticated_at: datetime) -> Signature:
    """The service desk manager takes accountability. Raises as `cosign`."""
    sheet = _open_sheet(sheet_id, Role.SERVICE_DESK_MANAGER)
    if sheet.manager_id != by.pk:
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

    Raises NotTheirs, AlreadySigned, AlreadyDeclined, ProposerMayNotCosign, TermsAltered, or
    signing.ConfirmAgain.
    """
    sheet = _open_sheet(sheet_id, Role.BUSINESS_UNIT_LEAD)
    if sheet.proposed_by_id == by.pk:
        raise ProposerMayNotCosign("Whoever proposed targets cannot sign them for the unit too.")
    if sheet.lead_id != by.pk:
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
    """Refuse to sign, with a reason; a new sheet has to be proposed."""
    sheet = _open_sheet(sheet_id, None)
    if by.pk not in (sheet.manager_id, sheet.lead_id):
        raise NotTheirs("Only somebody whose signature is asked for can decline.")
    declined = Decline.objects.create(
        tenant_id=sheet.tenant_id, sheet=sheet, person=by, reason=reason, at=at
    )
    _record(sheet, "targets.declined", by, at, reason)
    return declined


@transaction.atomic
def revoke(
    *, tenant: Organisation, sheet_id: int, by: Person, reason: str, at: datetime
) -> Revocation:
    """A signer withdraws, from the next period on; history stays."""
    sheet = TargetSheet.objects.for_tenant(tenant).get(pk=sheet_id)
    signers = set(sheet.signatures.values_list("person_id", flat=True))
    if by.pk not in signers or in_force_from(sheet, tenant) is None:
        raise NothingToRevoke("Only a signed sheet can be revoked, by one of its signers.")
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


def is_unaltered(sheet: TargetSheet) -> bool:
    """Whether the stored terms still give the digests that were signed."""
    targets = list(sheet.targets.all())
    signed = terms.sheet_digest(sheet.terms, [bytes(target.digest) for target in targets])
    if bytes(sheet.digest) != signed:
        return False
    return all(bytes(target.digest) == terms.digest(target.terms) for target in targets) and all(
        bytes(signature.sheet_digest) == bytes(sheet.digest)
        and bytes(signature.sentence_digest) == terms.sentence_digest(signature.sentence)
        for signature in sheet.signatures.all()
    )


def _open_sheet(sheet_id: int, role: Role | None) -> TargetSheet:
    sheet = TargetSheet.objects.select_related("domain", "manager", "lead", "proposed_by").get(
        pk=sheet_id
    )
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
