"""Observations: read in the role they were written in, by their author under their name, by no one
else; answered by those who run the service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, transaction

from metrics import observing
from metrics.evidence import observations
from metrics.measure import Reader, Slice
from metrics.models import Observation, ObservationAnswer, ObservationAuthor
from metrics.observing import NotObservable, NotTheirObservation
from portal.audit.models import AuditEntry
from portal.audit.trail import Actor
from portal.people.roles import Role
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import APRIL, MARCH, MAY, MONDAY

MONTH = Slice(MARCH, APRIL)


def observed(cast: Cast, text: str = "Agnes says the VPN form asks twice.", **told: Any) -> Any:
    said = {
        "capability": cast.network,
        "metric": "first_response",
        "standpoint": Observation.Standpoint.AGENT,
        "author": cast.agnes,
        "at": MONDAY,
        **told,
    }
    author = said["author"]
    by = Actor(author.actor_key, author.name) if author else Actor("key:1", "crm")
    with acting(cast.acme.pk, person_id=author.pk if author else None):
        return observing.write_observation(tenant=cast.acme, text=text, by=by, **said)


def beside(cast: Cast, metric: str = "first_response", cut: Slice = MONTH, **more: Any) -> Any:
    with acting(cast.acme.pk, person_id=cast.olga.pk):
        return observations(Reader(cast.acme, as_of=MAY), cut, metric, **more)


def test_it_is_read_beside_its_figure_with_the_role_and_the_week_and_no_name(cast: Cast) -> None:
    observed(cast)
    (row,) = beside(cast).rows
    assert row.text == "[name] says the VPN form asks twice."
    assert row.source == "an agent, week 10 of 2026; not answered yet"
    assert row.tickets == ()
    assert beside(cast, "backlog").rows == ()
    assert beside(cast, account=True).rows == ()


def test_what_is_said_of_the_service_in_general_stands_beside_each_of_its_figures(
    cast: Cast,
) -> None:
    observed(cast, "They call us instead.", metric="", standpoint=Observation.Standpoint.ACCOUNT)
    for metric in ("nps", "resolution_share"):
        assert beside(cast, metric, account=True).words == "1 observation."
    of_accounts = Slice(MARCH, APRIL, frozenset([cast.accounts.pk]))
    assert beside(cast, "nps", of_accounts, account=True).rows == ()


def test_the_database_shows_an_author_to_that_author_alone(cast: Cast) -> None:
    observed(cast)
    seen = {}
    for name in ("agnes", "arjun", "sam", "olga", "ada"):
        with acting(cast.acme.pk, person_id=getattr(cast, name).pk):
            seen[name] = ObservationAuthor.objects.count()
    assert seen == {"agnes": 1, "arjun": 0, "sam": 0, "olga": 0, "ada": 0}


def test_nobody_writes_in_anothers_name(cast: Cast) -> None:
    kept = observed(cast, author=None)
    with (
        acting(cast.acme.pk, person_id=cast.sam.pk),
        pytest.raises(Error, match="row-level security"),
        transaction.atomic(),
    ):
        ObservationAuthor.objects.create(tenant=cast.acme, observation=kept, person=cast.agnes)


@pytest.mark.parametrize("change", ["update", "delete"])
def test_words_once_kept_stay(cast: Cast, change: str) -> None:
    observed(cast)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        found = Observation.objects.for_tenant(cast.acme)
        with pytest.raises(Error, match="append-only"), transaction.atomic():
            found.update(text="x") if change == "update" else found._raw_delete(found.db)
        assert found.count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"), [({"text": "  "}, "text"), ({"metric": "csat_share"}, "metric")]
)
def test_what_cannot_be_kept_is_refused_by_its_field(
    cast: Cast, wrong: dict[str, str], field: str
) -> None:
    with pytest.raises(NotObservable) as refused:
        observed(cast, **wrong)
    assert refused.value.field == field


def test_the_trail_says_that_one_was_written_and_not_what(cast: Cast) -> None:
    observed(cast, "Something confidential")
    with acting(cast.acme.pk):
        entry = AuditEntry.objects.get(act="observation.written")
    assert (entry.actor_name, entry.subject_id) == ("Agnes", str(cast.network.pk))
    assert "confidential" not in str(entry.detail)


def answered(
    cast: Cast, kept: Observation, name: str, reason: str = "A new form is tried."
) -> None:
    person = getattr(cast, name)
    role = {"olga": Role.PROCESS_OWNER, "sam": Role.SERVICE_DESK_MANAGER}.get(
        name, Role.BUSINESS_UNIT_LEAD
    )
    with acting(cast.acme.pk, person_id=person.pk):
        observing.answer_observation(
            observation=kept,
            outcome=ObservationAnswer.Outcome.ACTED,
            reason=reason,
            by=person,
            roles=[role],
            at=MONDAY + timedelta(days=1),
        )


@pytest.mark.parametrize("name", ["olga", "sam"])
def test_those_who_run_the_service_say_what_becomes_of_it(cast: Cast, name: str) -> None:
    answered(cast, observed(cast), name)
    (row,) = beside(cast).rows
    assert row.source.endswith("; something is being changed")


def test_others_do_not_and_nobody_without_a_reason(cast: Cast) -> None:
    kept = observed(cast)
    with pytest.raises(NotTheirObservation):
        answered(cast, kept, "bea")
    with pytest.raises(NotObservable):
        answered(cast, kept, "olga", reason=" ")
    assert beside(cast).rows[0].source.endswith("not answered yet")


def test_who_wrote_it_is_forgotten_after_thirteen_months_and_the_words_stay(cast: Cast) -> None:
    observed(cast)
    kept_until = MONDAY + observing.AUTHOR_KEPT
    with roles.as_role(roles.WORKER):
        assert observing.sweep(kept_until) == 0
        assert observing.sweep(kept_until + timedelta(seconds=1)) == 1
    with acting(cast.acme.pk, person_id=cast.agnes.pk):
        assert not ObservationAuthor.objects.exists()
    assert len(beside(cast).rows) == 1


def test_the_first_role_in_which_somebody_is_nearest_to_the_work_is_theirs() -> None:
    both = [Role.PROCESS_OWNER, Role.AGENT]
    assert observing.standpoint_of(both) == Observation.Standpoint.AGENT
    with pytest.raises(NotObservable):
        observing.standpoint_of([Role.MEMBER])
