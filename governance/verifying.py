"""Whether everything decided still holds: terms, signatures, and the trail that tells of them.

What `manage.py verify_audit` asks beside the chain (TRUST.md D11). An owner of the database can
change rows behind the product's back; here each row is held against its digest and its audit entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from governance.binding import is_unaltered
from governance.models import Decline, Revocation, Signature, TargetSheet
from governance.signing import FRESH
from governance.targets import full_sheets, needed
from portal.audit.models import AuditEntry
from portal.people.models import Person
from portal.tenancy.models import Organisation

#: What a row and its audit entry both say: act, sheet, person, digest of the sheet, role or reason.
_Told = tuple[str, str, str, str, str]

ACTS = ("targets.proposed", "targets.signed", "targets.declined", "targets.revoked")


def faults(tenant: Organisation) -> Iterator[str]:
    """Everything that does not hold, one sentence each; nothing where all is well."""
    sheets = list(full_sheets(tenant).order_by("pk"))
    stored: list[_Told] = []
    for sheet in sheets:
        if not is_unaltered(sheet):
            yield f"sheet {sheet.pk}: its terms, columns or signatures do not match their digests"
        signatures = list(sheet.signatures.all())
        yield from (f"sheet {sheet.pk}: {fault}" for fault in _faults_of(sheet, signatures))
        stored += _rows_told(sheet, signatures)
    yield from _held_against_trail(stored, _entries_told(tenant))


def _faults_of(sheet: TargetSheet, signatures: list[Signature]) -> Iterator[str]:
    asked = {(role.value, person.pk) for role, person in needed(sheet)}
    for given in signatures:
        if (given.role, given.person_id) not in asked:
            yield f"signature {given.pk} is of somebody who was not asked in this role"
        if not given.at - FRESH <= given.reauthenticated_at <= given.at:
            yield f"signature {given.pk} was given too long after confirming who signs"
    if len({given.person_id for given in signatures}) != len(signatures):
        yield "one person signed twice"


def _rows_told(sheet: TargetSheet, signatures: list[Signature]) -> Iterator[_Told]:
    digest, number = bytes(sheet.digest).hex(), str(sheet.pk)

    def told(act: str, person_id: int, what: str, of: str = digest) -> _Told:
        return act, number, Person(pk=person_id).actor_key, of, what

    yield told("targets.proposed", sheet.proposed_by_id, "")
    for given in signatures:
        of = bytes(given.sheet_digest).hex()
        yield told("targets.signed", given.person_id, f"{given.role}: {given.sentence}", of)
    refusals: list[tuple[str, Decline | Revocation]] = [
        *(("targets.declined", row) for row in sheet.declines.all()),
        *(("targets.revoked", row) for row in sheet.revocations.all()),
    ]
    for act, row in refusals:
        yield told(act, row.person_id, row.reason)


def _entries_told(tenant: Organisation) -> Iterator[_Told]:
    entries = AuditEntry.objects.for_tenant(tenant).filter(act__in=ACTS)
    for entry in entries.order_by("sequence").iterator(chunk_size=2000):
        said = entry.detail
        what = (
            f"{said.get('role')}: {said.get('sentence')}"
            if entry.act == "targets.signed"
            else said.get("reason", "")
        )
        yield entry.act, entry.subject_id, entry.actor_key, said.get("digest", ""), what


def _held_against_trail(stored: list[_Told], trail: Iterator[_Told]) -> Iterator[str]:
    rows, entries = Counter(stored), Counter(trail)
    for act, sheet, who, _, _ in (rows - entries).elements():
        yield f"sheet {sheet}: {act} by {who} stands in no entry of the trail"
    for act, sheet, who, _, _ in (entries - rows).elements():
        yield f"sheet {sheet}: the trail tells of {act} by {who}, and no row says so"
