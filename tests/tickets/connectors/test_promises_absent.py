"""Zammad and Chatwoot: no SLA is told from one whose clock is stopped, and unknown is neither."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.factories import Cast
from tests.tickets.connectors import chatwoot, zammad
from tests.tickets.connectors.recorded import Recorded, connect, reading, receive, sweep, tell
from tickets.connectors import CONNECTORS
from tickets.flaws import PROMISE
from tickets.models import TicketFlaw
from tickets.news import Told

#: A ticket as the search lists it where no SLA fits it.
NONE: dict[str, Any] = {
    "preferences": {}, "escalation_at": None, "first_response_escalation_at": None,
    "update_escalation_at": None, "close_escalation_at": None, "first_response_diff_in_min": None,
    "update_diff_in_min": None, "close_diff_in_min": None,
}  # fmt: skip
#: Of an SLA whose clock is stopped only what was calculated with is left.
STOPPED = {"escalation_calculation": {"sla_id": 3, "calendar_id": 1, "escalation_disabled": True}}
#: A waiting ticket that no SLA fits is calculated too.
WAITING = {"escalation_calculation": {"escalation_disabled": True}}


def page(**more: Any) -> Recorded:
    return Recorded("ticket", {**zammad.WHOLE, "ticket": zammad.WHOLE["ticket"] | more})


def promised(told: Told) -> list[Any]:
    found = (event.data for news in told.tickets for event in news.events)
    return [data["value"] for data in found if data.get("name") == PROMISE]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (NONE, [None]),
        (NONE | {"preferences": WAITING}, [None]),
        (NONE | {"preferences": STOPPED}, ["held"]),
        (NONE | {"close_escalation_at": "2026-03-03T10:00:00Z"}, ["held"]),
        (NONE | {"first_response_diff_in_min": 0}, ["held"]),
        ({name: value for name, value in NONE.items() if name != "preferences"}, []),
        ({"preferences": {}}, []),
        ({}, []),
    ],
)
def test_zammad_s_sla_is_none_stopped_or_unknown(more: dict[str, Any], said: list[Any]) -> None:
    """The empty instants alone would be told as none: of the third that is wrong."""
    assert promised(tell(CONNECTORS["zammad"], page(**more))) == said


def test_a_dumped_ticket_says_the_same_as_its_page() -> None:
    for more in (NONE, NONE | {"preferences": STOPPED}, {}):
        [(topic, raw)] = CONNECTORS["zammad"].dumped("tickets", [zammad.DUMP["tickets"][0] | more])
        dumped = tell(CONNECTORS["zammad"], Recorded(topic, raw))
        assert promised(dumped) == promised(tell(CONNECTORS["zammad"], page(**more)))


@pytest.mark.parametrize(
    ("more", "said"),
    [({"sla_policy_id": None}, [None]), ({"sla_policy_id": 4}, ["held"]), ({}, [])],
)
def test_chatwoot_s_sla_is_none_held_or_unknown(more: dict[str, Any], said: list[Any]) -> None:
    whole = next(
        json.loads(raw) for topic, raw, _ in chatwoot.DELIVERIES if topic == "conversation"
    )
    body = {**whole, "conversation": whole["conversation"] | more}
    assert promised(tell(CONNECTORS["chatwoot"], Recorded("conversation", body))) == said


def test_what_was_once_promised_is_no_ticket_without_a_promise_in_any_order(cast: Cast) -> None:
    stopped = NONE | {"preferences": STOPPED, "updated_at": "2026-03-04T10:00:00Z"}
    steps = [page(**NONE), page(**stopped)]
    for name, some in (("first", steps[:1]), ("both", steps), ("backwards", steps[::-1])):
        desk = connect(cast, CONNECTORS["zammad"], zammad.WORDS, {}, name)
        receive(cast, desk, some)
        sweep()
        with reading(cast):
            flaws = TicketFlaw.objects.filter(ticket__connection=desk, kind="no_promise")
            assert flaws.count() == (name == "first")
