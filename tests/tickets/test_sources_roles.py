"""Roles of accounts: their history, corrections by hand, and the tickets folded again for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.audit.models import AuditEntry
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.test_sources_mapping import START, WORDS, form, looked, ticket
from tests.tickets.told_desk import connected, deliver, fold
from tickets import account_roles
from tickets.models import AccountRole, Connection, RefoldWork, Ticket, TicketFlaw, WorkItem

NOW = timezone.now()
PAGE = "/acme/sources/told/roles/"


@pytest.fixture
def told_desk(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Connection:
    return connected(cast, monkeypatch)


@pytest.fixture
def ada(cast: Cast, told_desk: Connection) -> Client:
    client = Client()
    client.force_login(cast.ada)
    return client


@pytest.fixture
def live(ada: Client, told_desk: Connection) -> Connection:
    """Two tickets answered: one by Amy, an agent, one by somebody nobody knows."""
    deliver(
        told_desk,
        NOW,
        ticket("1", reply=1),
        ticket("2", reply=1, agent="robo"),
        accounts={"amy": "agent"},
    )
    ada.post("/acme/sources/told/mapping/", form(WORDS, act="save", number="0"))
    fold(timezone.now())
    return told_desk


def replied(live: Connection) -> set[str]:
    with acting(live.tenant_id):
        items = WorkItem.objects.filter(first_response_at__isnull=False)
        return set(items.values_list("ticket__external_id", flat=True))


def apply() -> int:
    with roles.as_role(roles.WORKER):
        return account_roles.sweep(timezone.now())


def flaws(live: Connection) -> set[tuple[str, str]]:
    """The flaws there are; tickets know whether they have one."""
    with acting(live.tenant_id):
        found = set(TicketFlaw.objects.values_list("kind", "ticket__external_id"))
        flawed = Ticket.objects.filter(flawed=True).values_list("external_id", flat=True)
        assert set(flawed) == {ticket for _, ticket in found}
        return found


def test_a_corrected_role_folds_the_tickets_it_touches_and_no_other(
    cast: Cast, ada: Client, live: Connection
) -> None:
    assert replied(live) == {"1"}
    assert ("unknown_actor", "2") in flaws(live)
    assert ada.post(PAGE, {"account": "robo", "role": "agent", "since": ""}).status_code == 302
    assert apply() == 1
    with acting(cast.acme.pk):
        assert RefoldWork.objects.count() == 1
    fold(timezone.now())
    assert replied(live) == {"1", "2"}
    assert ("unknown_actor", "2") not in flaws(live)


def test_what_is_said_here_outweighs_the_help_desk(
    cast: Cast, ada: Client, live: Connection
) -> None:
    ada.post(PAGE, {"account": "amy", "role": "bot", "since": ""})
    apply()
    fold(timezone.now())
    assert replied(live) == set()
    account = next(a for a in ada.get(PAGE).context["accounts"] if a.external_id == "amy")
    assert account.now == "bot"
    assert [(r.role, r.by_hand) for r in account.roles] == [("bot", True), ("agent", False)]


def test_a_role_holds_from_its_day_on(cast: Cast, ada: Client, live: Connection) -> None:
    day = (START + timedelta(days=2)).date().isoformat()
    ada.post(PAGE, {"account": "amy", "role": "bot", "since": day})
    apply()
    fold(timezone.now())
    assert replied(live) == {"1"}  # she was an agent when she replied


def test_a_correction_taken_back_is_as_if_it_had_never_been(
    cast: Cast, ada: Client, live: Connection
) -> None:
    ada.post(PAGE, {"account": "amy", "role": "bot", "since": ""})
    apply()
    fold(timezone.now())
    with acting(cast.acme.pk):
        correction = AccountRole.objects.get(by_hand=True)
    assert ada.post(PAGE, {"withdraw": str(correction.pk)}).status_code == 302
    fold(timezone.now())
    assert replied(live) == {"1"}
    with acting(cast.acme.pk):
        acts = list(AuditEntry.objects.order_by("sequence").values_list("act", flat=True))
    assert acts[-2:] == ["account_role.corrected", "account_role.withdrawn"]


def test_what_the_help_desk_said_cannot_be_taken_back(
    cast: Cast, ada: Client, live: Connection
) -> None:
    with acting(cast.acme.pk):
        told = AccountRole.objects.get(external_id="amy")
    ada.post(PAGE, {"withdraw": str(told.pk)})
    with acting(cast.acme.pk):
        assert AccountRole.objects.filter(pk=told.pk).exists()
        assert not RefoldWork.objects.exists()


def test_the_same_correction_again_replaces_the_first(
    cast: Cast, ada: Client, live: Connection
) -> None:
    for role in ("bot", "system"):
        ada.post(PAGE, {"account": "robo", "role": role, "since": ""})
    with acting(cast.acme.pk):
        assert AccountRole.objects.get(by_hand=True).role == "system"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"account": " "}, "required"),
        ({"role": "unknown"}, "valid choice"),
        ({"since": "2999-01-01"}, "has not come yet"),
        ({"since": "yesterday"}, "valid date"),
    ],
)
def test_a_correction_that_cannot_be_is_refused(
    cast: Cast, ada: Client, live: Connection, wrong: dict[str, str], words: str
) -> None:
    answer = ada.post(PAGE, {"account": "robo", "role": "bot", "since": "", **wrong})
    assert answer.status_code == 400
    assert words in answer.content.decode()
    with acting(cast.acme.pk):
        assert not AccountRole.objects.filter(by_hand=True).exists()


def test_who_acts_without_a_role_is_shown_roughly_and_leads_to_the_form(
    cast: Cast, ada: Client, live: Connection
) -> None:
    looked(ada)
    page = ada.get(PAGE)
    assert page.context["unknown"] == [{"account": "robo", "acts": "fewer than 10"}]
    assert 'href="?account=robo#correct"' in page.content.decode()
    assert 'value="robo"' in ada.get(f"{PAGE}?account=robo").content.decode()


def test_accounts_are_searched_and_paged_with_the_same_number_of_questions(
    cast: Cast, ada: Client, live: Connection, django_assert_num_queries: Any
) -> None:
    def shown(query: str) -> list[str]:
        with django_assert_num_queries(12):
            page = ada.get(f"{PAGE}{query}")
        return [account.external_id for account in page.context["accounts"]]

    ada.get(PAGE)
    assert shown("?q=am") == ["amy"]
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for n in range(60):
            AccountRole.objects.create(
                tenant=cast.acme,
                connection=live,
                external_id=f"person {n:02}",
                role="requester",
                since=datetime.fromisoformat("2026-01-01T00:00:00+00:00"),
            )
    assert len(shown("?q=person")) == 50
    assert shown("?q=person&page=2")[0] == "person 50"
    assert shown("?role=agent") == ["amy"]


def test_nobody_is_led_from_an_account_to_its_work(
    cast: Cast, ada: Client, live: Connection
) -> None:
    page = ada.get(PAGE).content.decode()
    assert "amy" in page
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        from tickets.models import AgentAccount

        keys = [str(key) for key in AgentAccount.objects.values_list("actor_key", flat=True)]
    assert len(keys) == 2
    assert not [key for key in keys if key in page]
