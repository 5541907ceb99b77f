"""Whether a sheet still says, byte by byte, what was signed: digests and columns recomputed."""

from __future__ import annotations

import json
from decimal import Decimal

from governance import terms
from governance.models import Signature, Target, TargetSheet
from portal.people.models import Person


def is_unaltered(sheet: TargetSheet) -> bool:
    """Whether the stored terms still give the digests that were signed, and say what is in force.

    Figures are held against columns, so a column that left its terms is an alteration too. Names
    and addresses of services and people may change: terms hold their numbers.
    """
    targets = sorted(sheet.targets.all(), key=lambda target: target.position)
    signed = terms.sheet_digest(sheet.terms, [bytes(target.digest) for target in targets])
    return (
        bytes(sheet.digest) == signed
        and _sheet_says_its_columns(sheet)
        and all(_target_is_unaltered(target) for target in targets)
        and all(_signature_is_unaltered(sheet, given) for given in sheet.signatures.all())
    )


def _sheet_says_its_columns(sheet: TargetSheet) -> bool:
    before = bytes(sheet.predecessor.digest).hex() if sheet.predecessor else None
    said = _said(sheet.terms)
    stored = {
        "domain_id": sheet.domain_id,
        "effective_from": sheet.effective_from.isoformat(),
        "effective_until": sheet.effective_until.isoformat(),
        "rationale": terms.spelled(sheet.rationale),
        "process_owner": _key(sheet.proposed_by_id),
        "service_desk_manager": _key(sheet.manager_id),
        "business_unit_lead": _key(sheet.lead_id) if sheet.lead_id else None,
        "predecessor": before,
    }
    two = 2  # said in no terms before it was decided how many sign
    return said.get("persons", two) == sheet.persons and all(
        said.get(name, "nothing") == value for name, value in stored.items()
    )


def _said(text: str) -> dict[str, object]:
    """Terms as they stand; what is no JSON any more says nothing."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _key(person_id: int) -> str:
    return Person(pk=person_id).actor_key


def _target_is_unaltered(target: Target) -> bool:
    said = _said(target.terms)
    stored = {
        "position": target.position,
        "metric": target.metric,
        "severity": target.severity or None,
        "capability_id": target.capability_id,
    }
    return (
        bytes(target.digest) == terms.digest(target.terms)
        and all(said.get(name, "nothing") == value for name, value in stored.items())
        and Decimal(str(said["value"])) == target.value
    )


def _signature_is_unaltered(sheet: TargetSheet, given: Signature) -> bool:
    return (
        bytes(given.sheet_digest) == bytes(sheet.digest)
        and bytes(given.sentence_digest) == terms.sentence_digest(given.sentence)
        and given.printed_name in given.sentence
    )
