"""From a help desk's API to facts, as an installation does it: pulled, stored, folded."""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from portal.tenancy import due
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.connectors import jira, servicenow
from tests.tickets.connectors.desk import Desk, Reply, open_http
from tests.tickets.connectors.entering import NOW, connected
from tickets import fetching, inbound, pulling
from tickets.connectors import CONNECTORS
from tickets.models import (
    Connection,
    FetchWork,
    InboundMessage,
    InboundOutcome,
    Resolution,
    Ticket,
    ToldRating,
    WorkItem,
)


class Installation:
    """One connection to a help desk in memory, and the workers that visit it."""

    def __init__(self, cast: Cast, module: ModuleType) -> None:
        key = module.__name__.rpartition(".")[2]
        options = {**getattr(module, "OPTIONS", {}), "since": 60}
        self.connection = connected(cast, key, module.WORDS, options=options)
        self.desk: Desk = module.desk()
        secrets = module.SECRETS
        self.http = open_http(CONNECTORS[key], self.desk, secrets=secrets, options=options)
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            due.note(cast.acme.pk, fetching.PULL, NOW)

    def visited(self, minutes: int = 0) -> int:
        """Pull and fold; return how many pages were new."""
        now = NOW + timedelta(minutes=minutes)
        with roles.as_role(roles.WORKER):
            pages = pulling.sweep(now, opened=lambda _: self.http)
            inbound.sweep(now)
        return pages

    @property
    def stored(self) -> Connection:
        return Connection.objects.get(pk=self.connection.pk)

    def facts(self) -> Any:
        return (
            sorted(Ticket.objects.values_list("external_id", "state", "left_out")),
            sorted(WorkItem.objects.values_list("opened_at", "first_response_at", "outcome")),
            sorted(Resolution.objects.values_list("at", "reopened", "reopen_kind")),
            ToldRating.objects.filter(score__isnull=False).count(),
        )


@pytest.fixture(params=[jira, servicenow], ids=lambda module: module.__name__.rpartition(".")[2])
def installation(cast: Cast, request: pytest.FixtureRequest) -> Any:
    made = Installation(cast, request.param)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        yield made


def test_what_is_pulled_becomes_facts_and_comes_again_for_nothing(
    installation: Installation,
) -> None:
    assert installation.visited() >= 3
    tickets, items, resolutions, ratings = facts = installation.facts()
    assert (len(tickets), len(items), len(resolutions), ratings) == (3, 3, 4, 1)
    assert sum(reopened for _, reopened, _ in resolutions) == 1
    assert set(InboundOutcome.objects.values_list("status", flat=True)) == {"folded"}
    assert installation.stored.cursor
    assert installation.stored.trouble == ""
    messages = InboundMessage.objects.count()
    assert installation.visited(minutes=6) == 0
    assert InboundMessage.objects.count() == messages
    assert installation.facts() == facts


def test_a_hint_is_fetched_and_done_with(installation: Installation) -> None:
    installation.visited()
    facts, name = installation.facts(), Ticket.objects.order_by("external_id")[0].external_id
    asked = len(installation.desk.asked)
    fetching.ask(installation.connection, [name], at=NOW + timedelta(minutes=1))
    installation.visited(minutes=1)
    assert len(installation.desk.asked) > asked
    assert not FetchWork.objects.exists()
    assert installation.facts() == facts


def test_a_help_desk_that_fails_is_trouble_in_words_and_is_pulled_again(
    installation: Installation,
) -> None:
    installation.desk.always = Reply({}, 401)
    assert installation.visited() == 0
    assert "credentials" in installation.stored.trouble
    installation.desk.always = None
    assert installation.visited(minutes=10) >= 3
    assert installation.stored.trouble == ""
    assert len(installation.facts()[1]) == 3
