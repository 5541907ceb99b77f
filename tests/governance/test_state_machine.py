"""Whatever a group of people does in whatever order, no unsigned target counts.

Sequences of acts are drawn at random and played against the product; a model of a few lines says
beside it which acts are allowed and which sheet is in force on which day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from governance import cosigning, signing
from governance.models import Decline, Revocation, Signature, TargetSheet
from governance.targets import (
    NotProposable,
    NotTheProcessOwner,
    Status,
    Wanted,
    lives,
    propose,
)
from governance.verifying import faults
from portal.audit.models import AuditEntry
from portal.audit.trail import verify
from portal.people.models import Membership, Person
from portal.people.roles import Role
from tests.factories import Cast
from tests.faults import tries
from tests.governance.sheets import AT, KEY
from tests.roles import OWNER, as_role

PEOPLE = ("olga", "sam", "bea", "pia", "rui")
ROLES = (Role.PROCESS_OWNER, Role.SERVICE_DESK_MANAGER, Role.BUSINESS_UNIT_LEAD)
REFUSALS = (
    NotProposable,
    NotTheProcessOwner,
    cosigning.NotTheirs,
    cosigning.AlreadySigned,
    cosigning.AlreadyDeclined,
    cosigning.CannotBeDeclined,
    cosigning.ProposerMayNotCosign,
    cosigning.NothingToRevoke,
    signing.ConfirmAgain,
    signing.NotTheirRole,
)

person = st.sampled_from(PEOPLE)
sheet = st.integers(0, 2)
#: Seconds since confirming: fresh, at the limit, past it, in the future.
age = st.sampled_from([0, 0, 0, 0, 60, 300, 301, -1])

STEPS = st.one_of(
    st.tuples(
        st.just("propose"),
        st.sampled_from(["olga", "olga", "olga", "sam", "rui"]),
        age,
        st.integers(0, 3),  # months from now on
        st.integers(1, 13),  # months it holds
    ),
    # Most acts by whoever is asked, so that sheets do get signed; the rest by anybody.
    st.tuples(st.just("accept"), sheet, st.one_of(st.just("manager"), person), age),
    st.tuples(st.just("cosign"), sheet, st.one_of(st.just("lead"), person), age),
    st.tuples(st.just("decline"), sheet, person),
    st.tuples(st.just("revoke"), st.just(0), st.just("lead")),
    st.tuples(st.just("revoke"), sheet, st.one_of(st.sampled_from(["proposer", "lead"]), person)),
    st.tuples(st.just("wait"), st.integers(1, 70)),
    st.tuples(st.just("wait"), st.integers(20, 50)),
    st.tuples(st.just("role"), person, st.sampled_from(ROLES)),
    st.tuples(st.just("manager"), person),
    st.tuples(st.just("lead"), person),
)

SIGN: list[tuple[Any, ...]] = [("accept", 0, "manager", 0), ("cosign", 0, "lead", 0)]
#: A sheet to begin with, signed by nobody else, by one, or by all.
BEGINNINGS = st.sampled_from([[], SIGN[:1], SIGN[1:], SIGN, SIGN])
#: Now and then everything a second sheet needs at once: by chance alone it would hardly happen.
AGAIN: list[tuple[Any, ...]] = [
    ("propose", "olga", 0, 1, 6),
    *((act, 1, who, seconds) for act, _, who, seconds in SIGN),
    ("wait", 32),
]
STEPS_AND_SIGNINGS = st.lists(
    st.one_of(
        st.lists(STEPS, min_size=1, max_size=3), STEPS.map(lambda one: [one]), st.just(AGAIN)
    ),
    min_size=2,
    max_size=7,
).map(lambda parts: [step for part in parts for step in part])


def month(day: date, later: int = 0) -> date:
    months = day.year * 12 + day.month - 1 + later
    return date(months // 12, months % 12 + 1, 1)


@dataclass
class ModelSheet:
    """What the model knows of a sheet."""

    proposer: str
    manager: str
    lead: str
    start: date
    until: date
    signed: dict[Role, tuple[str, date]] = field(default_factory=dict)
    declined: bool = False
    revoked_from: date | None = None

    def asked(self) -> dict[Role, str]:
        asked = {Role.PROCESS_OWNER: self.proposer, Role.BUSINESS_UNIT_LEAD: self.lead}
        if self.manager != self.proposer:
            asked[Role.SERVICE_DESK_MANAGER] = self.manager
        return asked

    def begins(self) -> date | None:
        if self.declined or set(self.signed) != set(self.asked()):
            return None
        return max(self.start, *(month(day, 1) for _, day in self.signed.values()))


@dataclass
class Model:
    """Who is what, and every sheet, in order."""

    now: datetime
    roles: set[tuple[str, Role]]
    manager: str = "sam"
    lead: str = "bea"
    sheets: list[ModelSheet] = field(default_factory=list)

    @property
    def today(self) -> date:
        return self.now.date()

    def ends(self, one: ModelSheet) -> date:
        later = [other.begins() for other in self.sheets[self.sheets.index(one) + 1 :]]
        return min([one.until, *filter(None, [one.revoked_from, *later])])

    def active(self, day: date) -> list[int]:
        return [
            number
            for number, one in enumerate(self.sheets)
            if (begins := one.begins()) and begins <= day < self.ends(one)
        ]

    def may_propose(self, who: str, seconds: int, start: date, until: date) -> bool:
        return (
            who == "olga"
            and (who, Role.PROCESS_OWNER) in self.roles
            and 0 <= seconds <= 300
            and start >= month(self.today, 1)
            and until <= month(start, 12)
            and self.lead not in (who, self.manager)
        )

    def may_sign(self, one: ModelSheet, role: Role, who: str, seconds: int) -> bool:
        return (
            one.asked().get(role) == who
            and role not in one.signed
            and not one.declined
            and (who, role) in self.roles
            and 0 <= seconds <= 300
        )

    def may_decline(self, one: ModelSheet, who: str) -> bool:
        asked = one.asked()
        signed = {signer for signer, _ in one.signed.values()}
        return not one.declined and who in asked.values() and who not in signed

    def may_revoke(self, one: ModelSheet, who: str) -> bool:
        return (
            one.begins() is not None
            and one.revoked_from is None
            and self.ends(one) > month(self.today, 1)
            and who in {signer for signer, _ in one.signed.values()}
        )


class Play:
    """Plays steps against the product and the model at once."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.sheets: list[int] = []
        self.past: dict[date, list[int]] = {}
        self.model = Model(
            now=AT,
            roles={
                ("olga", Role.PROCESS_OWNER),
                ("sam", Role.SERVICE_DESK_MANAGER),
                ("bea", Role.BUSINESS_UNIT_LEAD),
            },
        )

    def who(self, name: str) -> Person:
        found: Person = getattr(self.cast, name)
        return found

    def step(self, act: str, *values: Any) -> None:
        getattr(self, act)(*values)
        self.check()

    def tried(self, allowed: bool, act: Callable[[], object]) -> bool:
        """Do it; whether it was done must be what the model says, and a refusal writes nothing."""
        before = self.rows()
        try:
            with transaction.atomic():
                act()
        except REFUSALS as refused:
            refusal: Exception | None = refused
            assert self.rows() == before
        else:
            refusal = None
        assert allowed is (refusal is None), refusal
        return allowed

    def rows(self) -> list[int]:
        models = (TargetSheet, Signature, Decline, Revocation, AuditEntry)
        return [model.objects.for_tenant(self.cast.acme).count() for model in models]

    def propose(self, who: str, seconds: int, later: int, months: int) -> None:
        model = self.model
        if len(model.sheets) == 3:
            return
        start = month(model.today, later)
        until = month(start, months)

        def act() -> None:
            made = propose(
                tenant=self.cast.acme,
                domain=self.cast.it,
                wanted=[Wanted(KEY, Decimal("0.90"))],
                effective_from=start,
                effective_until=until,
                rationale="Because.",
                by=self.who(who),
                at=model.now,
                reauthenticated_at=model.now - timedelta(seconds=seconds),
            )
            self.sheets.append(made.pk)

        if self.tried(model.may_propose(who, seconds, start, until), act):
            made = ModelSheet(who, model.manager, model.lead, start, until)
            made.signed[Role.PROCESS_OWNER] = (who, model.today)
            model.sheets.append(made)

    def accept(self, number: int, who: str, seconds: int) -> None:
        self.sign(number, Role.SERVICE_DESK_MANAGER, who, seconds, cosigning.accept)

    def cosign(self, number: int, who: str, seconds: int) -> None:
        self.sign(number, Role.BUSINESS_UNIT_LEAD, who, seconds, cosigning.cosign)

    def sign(self, number: int, role: Role, who: str, seconds: int, sign: Any) -> None:
        if number >= len(self.sheets):
            return
        model, one = self.model, self.model.sheets[number]
        who = getattr(one, who, who)

        def act() -> None:
            sign(
                sheet_id=self.sheets[number],
                by=self.who(who),
                at=model.now,
                reauthenticated_at=model.now - timedelta(seconds=seconds),
            )

        if self.tried(model.may_sign(one, role, who, seconds), act):
            one.signed[role] = (who, model.today)

    def decline(self, number: int, who: str) -> None:
        if number >= len(self.sheets):
            return
        one = self.model.sheets[number]

        def act() -> None:
            cosigning.decline(
                sheet_id=self.sheets[number], by=self.who(who), reason="No.", at=self.model.now
            )

        if self.tried(self.model.may_decline(one, who), act):
            one.declined = True

    def revoke(self, number: int, who: str) -> None:
        if number >= len(self.sheets):
            return
        model, one = self.model, self.model.sheets[number]
        who = getattr(one, who, who)

        def act() -> None:
            cosigning.revoke(
                tenant=self.cast.acme,
                sheet_id=self.sheets[number],
                by=self.who(who),
                reason="Over.",
                at=model.now,
            )

        if self.tried(model.may_revoke(one, who), act):
            one.revoked_from = month(model.today, 1)

    def wait(self, days: int) -> None:
        self.model.now += timedelta(days=days)

    def role(self, who: str, role: Role) -> None:
        """Give the role, or take it away from whoever has it."""
        roles = self.model.roles
        held = Membership.objects.filter(tenant=self.cast.acme, person=self.who(who), role=role)
        if (who, role) in roles:
            held.delete()
            roles.remove((who, role))
        else:
            Membership.objects.create(tenant=self.cast.acme, person=self.who(who), role=role)
            roles.add((who, role))

    def manager(self, who: str) -> None:
        self.cast.it.service_desk_manager = self.who(who)
        self.cast.it.save()
        self.model.manager = who

    def lead(self, who: str) -> None:
        self.cast.sales.lead = self.who(who)
        self.cast.sales.save()
        self.model.lead = who

    def check(self) -> None:
        """What must hold after every step."""
        model = self.model
        first = month(AT.date())
        stored = lives(self.cast.acme)[::-1]
        changes = {month(day) for one in model.sheets for day in (one.start, one.until)}
        for day in sorted({first, month(model.today), month(model.today, 1), *changes, *self.past}):
            active = [
                number for number, one in enumerate(stored) if one.status(day) is Status.ACTIVE
            ]
            assert active == model.active(day)
            assert len(active) <= 1
            for number in active:
                self.check_signatures(stored[number].sheet)
            if day <= model.today:  # the past keeps still, whatever is done later
                assert self.past.setdefault(day, active) == active

    def check_signatures(self, one: TargetSheet) -> None:
        """An active sheet is signed, on its present digest, freshly, by two persons at least."""
        given = list(one.signatures.all())
        assert {signature.person_id for signature in given} > {one.proposed_by_id}
        assert one.lead_id in {signature.person_id for signature in given}
        assert len({signature.person_id for signature in given}) == len(given)
        assert {bytes(signature.sheet_digest) for signature in given} == {bytes(one.digest)}
        for signature in given:
            assert signature.at - signature.reauthenticated_at <= timedelta(minutes=5)


def play(cast: Cast, steps: list[tuple[Any, ...]]) -> Play:
    """Play steps and take everything back."""
    manager, lead = cast.it.service_desk_manager, cast.sales.lead
    try:
        with transaction.atomic():
            game = Play(cast)
            for step in steps:
                game.step(*step)
            assert verify(cast.acme.pk)[1] is None
            assert list(faults(cast.acme)) == []
            transaction.set_rollback(True)
    finally:
        cast.it.service_desk_manager, cast.sales.lead = manager, lead
    return game


@pytest.mark.faults
@pytest.mark.slow
def test_no_sequence_of_acts_makes_an_unsigned_target_count(in_acme: Cast) -> None:
    @settings(
        max_examples=10_000 if tries(10) == 10 else 40,
        derandomize=tries(10) != 10,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(BEGINNINGS, STEPS_AND_SIGNINGS)
    def run(beginning: list[tuple[Any, ...]], steps: list[tuple[Any, ...]]) -> None:
        game = play(in_acme, [("propose", "olga", 0, 1, 12), *beginning, *steps])
        seen.update(number for active in game.past.values() for number in active)
        seen.update("revoked" for one in game.model.sheets if one.revoked_from)

    seen: Counter[int | str] = Counter()
    run()
    # First and second sheets did come into force, and some were revoked: something was tried.
    assert min(seen[0], seen[1], seen["revoked"]) > 0, seen


LIFE: list[tuple[Any, ...]] = [
    ("propose", "olga", 0, 1, 12),
    ("accept", 0, "manager", 300),
    ("cosign", 0, "lead", 60),
    ("wait", 30),
    ("propose", "olga", 0, 2, 3),
    ("cosign", 1, "lead", 0),
    ("accept", 1, "manager", 0),
    ("wait", 25),
    ("wait", 30),
    ("revoke", 1, "lead"),
    ("wait", 30),
]


def test_the_model_sees_sheets_come_into_force_and_go(in_acme: Cast) -> None:
    """The machine is worth something only if sheets do become active under it."""
    game = play(in_acme, LIFE)
    assert {day: active for day, active in game.past.items() if active} == {
        date(2026, 4, 1): [0],
        date(2026, 5, 1): [0],
        date(2026, 6, 1): [1],
    }


def test_the_machine_notices_a_signature_that_nobody_gave(in_acme: Cast) -> None:
    """The control: a sheet that counts without its last signature is found at once."""
    with transaction.atomic():
        game = Play(in_acme)
        for step in LIFE[:2]:
            game.step(*step)
        with as_role(OWNER), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE governance_signature DISABLE TRIGGER USER")
            cursor.execute(
                "INSERT INTO governance_signature (tenant_id, sheet_id, sheet_digest, person_id,"
                " role, printed_name, sentence, sentence_digest, reauthenticated_at, at) SELECT"
                " tenant_id, id, digest, lead_id, 'business_unit_lead', 'Bea', 'Bea',"
                " sha256('Bea'), proposed_at, proposed_at FROM governance_targetsheet"
            )
        with pytest.raises(AssertionError):
            game.check()
        transaction.set_rollback(True)
