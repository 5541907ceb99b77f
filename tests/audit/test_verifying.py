"""`verify_audit` recomputes the chain, the digests of the terms and what binds each signature."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from governance import cosigning
from governance.models import TargetSheet
from governance.verifying import faults
from portal.audit.models import AuditEntry
from portal.audit.trail import verify
from tests.factories import Cast
from tests.faults import tries
from tests.governance.sheets import AT, propose_sheet
from tests.roles import OWNER, as_role

MONTH = timedelta(days=31)
TABLES = (
    "audit_auditentry",
    "governance_targetsheet",
    "governance_target",
    "governance_signature",
    "governance_decline",
    "governance_revocation",
)


@pytest.fixture
def decided(in_acme: Cast) -> Cast:
    """A sheet that was signed and later revoked, and one that was declined."""
    signed = propose_sheet(in_acme)
    cosigning.accept(sheet_id=signed.pk, by=in_acme.sam, at=AT, reauthenticated_at=AT)
    cosigning.cosign(sheet_id=signed.pk, by=in_acme.bea, at=AT, reauthenticated_at=AT)
    cosigning.revoke(
        tenant=in_acme.acme, sheet_id=signed.pk, by=in_acme.bea, reason="Moved.", at=AT + MONTH
    )
    refused = propose_sheet(in_acme)
    cosigning.decline(sheet_id=refused.pk, by=in_acme.sam, reason="Too early.", at=AT)
    return in_acme


@contextmanager
def tampered(sql: str, *values: object) -> Iterator[int]:
    """What an owner of the database can do behind the product's back; undone afterwards."""
    with transaction.atomic():
        with as_role(OWNER), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in TABLES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(sql, list(values) or None)
            changed = cursor.rowcount
        yield changed
        transaction.set_rollback(True)


def found(cast: Cast) -> list[str]:
    _, broken = verify(cast.acme.pk)
    return ([f"entry {broken.sequence} {broken.reason}"] if broken else []) + list(
        faults(cast.acme)
    )


def test_what_was_decided_by_the_products_own_acts_holds(decided: Cast) -> None:
    assert found(decided) == []


TAMPERINGS = {
    "a target's value": (
        "UPDATE governance_target SET value = 0.5",
        "do not match their digests",
    ),
    "a target's terms": (
        "UPDATE governance_target SET terms = replace(terms, '0.90', '0.50')",
        "do not match their digests",
    ),
    "terms with their own digest put right": (
        "UPDATE governance_target SET terms = '{', digest = sha256(E'target-terms/v1\\\\012{')",
        "do not match their digests",
    ),
    "the period": (
        "UPDATE governance_targetsheet SET effective_from = effective_from + 30",
        "do not match their digests",
    ),
    "the rationale": (
        "UPDATE governance_targetsheet SET rationale = 'Because.'",
        "do not match their digests",
    ),
    "who was asked": (
        "UPDATE governance_targetsheet SET manager_id = proposed_by_id",
        "do not match their digests",
    ),
    "a target added": (
        """INSERT INTO governance_target (tenant_id, sheet_id, position, metric, severity, value,
             terms, digest) SELECT tenant_id, sheet_id, 9, metric, severity, value, terms, digest
             FROM governance_target""",
        "do not match their digests",
    ),
    "a target removed": ("DELETE FROM governance_target", "do not match their digests"),
    "a signature removed": (
        "DELETE FROM governance_signature WHERE role = 'business_unit_lead'",
        "and no row says so",
    ),
    "a refusal removed": ("DELETE FROM governance_decline", "and no row says so"),
    "a revocation removed": ("DELETE FROM governance_revocation", "and no row says so"),
    "a reason": ("UPDATE governance_decline SET reason = 'Fine.'", "stands in no entry"),
    "who signed": (
        """UPDATE governance_signature SET person_id = (SELECT id FROM people_person
             WHERE name = 'Rui') WHERE role = 'business_unit_lead'""",
        "was not asked in this role",
    ),
    "the printed name": (
        "UPDATE governance_signature SET printed_name = 'Somebody else'",
        "do not match their digests",
    ),
    "the sentence": (
        """UPDATE governance_signature SET sentence = 'I saw nothing',
             sentence_digest = sha256('I saw nothing'), printed_name = 'I saw nothing'""",
        "stands in no entry",
    ),
    "when the signer confirmed": (
        "UPDATE governance_signature SET reauthenticated_at = at - interval '6 minutes'",
        "too long after confirming",
    ),
    "an entry of the trail": (
        "UPDATE audit_auditentry SET actor_name = 'Nobody' WHERE sequence = 2",
        "entry 2",
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_tampering_is_found_and_named(decided: Cast, what: str) -> None:
    sql, sign = TAMPERINGS[what]
    with tampered(sql) as changed:
        assert changed
        assert any(sign in fault for fault in found(decided)), found(decided)
    assert found(decided) == []


def test_a_signature_forged_in_the_database_stands_in_no_entry(in_acme: Cast) -> None:
    """Everything the triggers ask for is right, and it goes in as the web role; nobody did it."""
    sheet = propose_sheet(in_acme)
    forged = (
        "INSERT INTO governance_signature (tenant_id, sheet_id, sheet_digest, person_id, role,"
        " printed_name, sentence, sentence_digest, reauthenticated_at, at) SELECT tenant_id, id,"
        " digest, lead_id, 'business_unit_lead', 'Bea', 'I, Bea', sha256('I, Bea'), proposed_at,"
        " proposed_at FROM governance_targetsheet WHERE id = %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(forged, [sheet.pk])
    act = f"targets.signed by {in_acme.bea.actor_key}"
    assert found(in_acme) == [f"sheet {sheet.pk}: {act} stands in no entry of the trail"]


def _text(rng: random.Random) -> str:
    return "".join(rng.choice("abcdefghij") for _ in range(rng.randint(1, 12)))


#: Ways to change one cell: (table, column, a new value that is another one).
CELLS: dict[tuple[str, str], Callable[[random.Random], object]] = {
    ("audit_auditentry", "act"): _text,
    ("audit_auditentry", "actor_key"): _text,
    ("audit_auditentry", "actor_name"): _text,
    ("audit_auditentry", "subject_kind"): _text,
    ("audit_auditentry", "subject_id"): _text,
    ("audit_auditentry", "detail"): lambda rng: f'{{"{_text(rng)}": {rng.random()}}}',
    ("audit_auditentry", "hash"): lambda rng: rng.randbytes(32),
    ("audit_auditentry", "previous_hash"): lambda rng: rng.randbytes(32),
    ("audit_auditentry", "sequence"): lambda rng: rng.randint(1000, 9999),
    ("audit_auditentry", "at"): lambda rng: AT + timedelta(microseconds=rng.randint(1, 10**12)),
    ("governance_target", "value"): lambda rng: rng.randint(2, 99),
    ("governance_target", "severity"): _text,
    ("governance_target", "metric"): _text,
    ("governance_target", "position"): lambda rng: rng.randint(2, 99),
    ("governance_target", "terms"): lambda rng: f'{{"value": "{rng.random()}"}}',
    ("governance_target", "digest"): lambda rng: rng.randbytes(32),
    ("governance_targetsheet", "rationale"): _text,
    ("governance_targetsheet", "terms"): _text,
    ("governance_targetsheet", "effective_until"): lambda rng: (
        AT + timedelta(days=rng.randint(60, 300))
    ).date(),
    ("governance_signature", "sentence"): _text,
    ("governance_signature", "sentence_digest"): lambda rng: rng.randbytes(32),
    ("governance_signature", "printed_name"): lambda rng: _text(rng) + "?",
    ("governance_decline", "reason"): _text,
    ("governance_revocation", "reason"): _text,
}


@pytest.mark.faults
def test_random_tampering_is_always_found(decided: Cast) -> None:
    rng = random.Random(20260310)
    missed, removed = [], ("audit_auditentry", "governance_signature", "governance_target")
    for _ in range(tries(200)):
        if rng.random() < 0.2:
            table, column, value = rng.choice(removed), "", None
            change = f"DELETE FROM {table}"
        else:
            table, column = rng.choice(list(CELLS))
            value = CELLS[table, column](rng)
            change = f"UPDATE {table} SET {column} = %s"
        with connection.cursor() as cursor:
            # The last entry can be cut off the end of a chain: only an anchor outside shows that.
            kept = " WHERE sequence < (SELECT max(sequence) FROM audit_auditentry)"
            cursor.execute(f"SELECT id FROM {table}{kept if table.startswith('audit') else ''}")
            row = rng.choice(cursor.fetchall())[0]
        values = [row] if value is None else [value, row]
        with tampered(f"{change} WHERE id = %s", *values) as changed:
            assert changed == 1
            if not found(decided):
                missed.append((table, column, value))
    assert missed == []
    assert found(decided) == []  # the control: what nobody touched is sound


def test_the_command_says_what_is_wrong_and_fails(decided: Cast) -> None:
    out, err = io.StringIO(), io.StringIO()
    call_command("verify_audit", stdout=out, stderr=err)
    entries = AuditEntry.objects.for_tenant(decided.acme).count()
    assert out.getvalue() == (
        f"acme: {entries} entries, chain sound, signatures match\n"
        "globex: 0 entries, chain sound, signatures match\n"
    )
    sheet = TargetSheet.objects.for_tenant(decided.acme).latest("pk")
    with tampered("UPDATE governance_targetsheet SET rationale = 'No.' WHERE id = %s", sheet.pk):
        with pytest.raises(CommandError, match="was altered"):
            call_command("verify_audit", stdout=out, stderr=err)
        assert f"acme: sheet {sheet.pk}: its terms" in err.getvalue()


def test_the_command_names_an_organisation_that_does_not_exist(cast: Cast) -> None:
    with pytest.raises(CommandError, match="no organisation 'nobody'"):
        call_command("verify_audit", organisation="nobody")
