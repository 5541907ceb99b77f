"""One signature: who may give it, what it says, and the row that binds it to the exact terms."""

from __future__ import annotations

from datetime import datetime, timedelta

from governance import terms
from governance.models import Signature, TargetSheet
from portal.audit.trail import Actor, record
from portal.people.models import Membership, Person
from portal.people.roles import Role

#: How long after confirming who they are somebody may sign (TRUST.md D3).
FRESH = timedelta(minutes=5)

MEANING = {
    Role.PROCESS_OWNER: "I set these targets",
    Role.SERVICE_DESK_MANAGER: "I am accountable for these targets",
    Role.BUSINESS_UNIT_LEAD: "I co-sign these targets for the business unit",
}


class ConfirmAgain(Exception):
    """The person confirmed who they are too long ago; nothing was signed."""


class NotTheirRole(Exception):
    """The person does not hold the role any more in which they would sign; nothing was signed."""


def holds(person: Person, tenant_id: int, role: Role) -> bool:
    """Whether somebody who can still sign in has the role in the organisation."""
    return (
        person.is_active
        and Membership.objects.filter(tenant_id=tenant_id, person=person, role=role).exists()
    )


def meaning(sheet: TargetSheet, role: Role) -> str:
    """What a signature in this role means; one person may be process owner and manager at once."""
    if role == Role.PROCESS_OWNER and sheet.manager_id == sheet.proposed_by_id:
        return "I set these targets and am accountable for them"
    return MEANING[role]


def capacity(sheet: TargetSheet, role: Role) -> str:
    """The role, or both roles, in which somebody signs."""
    if role == Role.PROCESS_OWNER and sheet.manager_id == sheet.proposed_by_id:
        return f"{Role.PROCESS_OWNER.label} and {Role.SERVICE_DESK_MANAGER.label}"
    return role.label


def sentence(sheet: TargetSheet, role: Role, person: Person) -> str:
    """The exact sentence that is shown to a signer and stored with the signature."""
    return (
        f"{meaning(sheet, role)}: {sheet.domain.name}, {sheet.effective_from} up to"
        f" {sheet.effective_until}, terms {short(sheet)}. Signed by {person.name},"
        f" {capacity(sheet, role)}."
    )


def short(sheet: TargetSheet) -> str:
    """The digest's first sixteen digits, in groups, to read aloud."""
    text = bytes(sheet.digest).hex()[:16]
    return " ".join(text[n : n + 4] for n in range(0, 16, 4))


def sign(
    *, sheet: TargetSheet, role: Role, by: Person, at: datetime, reauthenticated_at: datetime
) -> Signature:
    """Write a signature and its audit entry, in the running transaction.

    Raises ConfirmAgain or NotTheirRole.
    """
    if not timedelta() <= at - reauthenticated_at <= FRESH:
        raise ConfirmAgain("Confirm who you are again: that is older than 5 minutes.")
    if not holds(by, sheet.tenant_id, role):
        raise NotTheirRole(f"{by.name} is not {role.label} here. Nothing was signed.")
    words = sentence(sheet, role, by)
    signature = Signature.objects.create(
        tenant_id=sheet.tenant_id,
        sheet=sheet,
        sheet_digest=sheet.digest,
        person=by,
        role=role,
        printed_name=by.name,
        sentence=words,
        sentence_digest=terms.sentence_digest(words),
        reauthenticated_at=reauthenticated_at,
        at=at,
    )
    record(
        tenant_id=sheet.tenant_id,
        actor=Actor(by.actor_key, by.name),
        act="targets.signed",
        subject_kind="target_sheet",
        subject_id=sheet.pk,
        at=at,
        detail={"role": role.value, "digest": bytes(sheet.digest).hex(), "sentence": words},
    )
    return signature
