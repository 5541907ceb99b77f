"""Evidence, observations and quality reviews by API: read with one scope, told with another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from metrics import reviewing_quality
from metrics.definitions import BY_KEY, METRICS
from metrics.models import Observation, ObservationAuthor, QualityReview
from metrics.rubric import RUBRIC
from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.test_evidence import wrote
from tests.metrics.test_reviewing_quality import worked
from tests.metrics.told import MAY, enter, moved, news
from tests.portal.test_permissions import key_of
from tickets.canonical import EventType

PERIOD = "capability=network&from=2026-03-01&until=2026-04-01"
GOOD = {criterion.key: "yes" for criterion in RUBRIC}


@pytest.fixture
def key(cast: Cast) -> str:
    return key_of(cast, Scope.READ_INTERNAL, Scope.INGEST_EVENTS)[1]


def get(key: str, path: str) -> Any:
    return Client().get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {key}"})


def post(key: str, path: str, body: Any, once: str = "once") -> Any:
    return Client().post(
        f"/api/v1/{path}",
        data=json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}", "Idempotency-Key": once},
    )


@pytest.mark.parametrize("metric", METRICS, ids=list(BY_KEY))
def test_beside_every_metric_its_kinds_are_told(cast: Cast, key: str, metric: Any) -> None:
    told = get(key, f"evidence/?metric={metric.key}&{PERIOD}").json()
    assert (told["metric"], told["evidence"]) == (metric.key, metric.evidence)
    assert len(told["pieces"]) == len(metric.pair) + bool(metric.not_kept)
    assert all(piece["rows"] or piece["words"] for piece in told["pieces"])


def test_reasons_lead_to_tickets_and_comments_do_not(cast: Cast, key: str) -> None:
    for number in range(5):
        wrote(cast, f"Comment {number}")
    enter(cast, news("far", (1, EventType.ESCALATED, {"kind": "functional", "reason": "x"})))
    (piece,) = get(key, f"evidence/?metric=escalation_rate&{PERIOD}").json()["pieces"]
    assert piece["rows"] == [
        {
            "text": "x",
            "source": "1 time",
            "tickets": [{"source": "desk", "external_id": "far"}],
        }
    ]
    assert get(key, "tickets/desk/far/").status_code == 200
    comments = get(key, f"evidence/?metric=csat_share.share&{PERIOD}").json()["pieces"][0]
    assert [row["tickets"] for row in comments["rows"]] == [[]] * 4


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (f"metric=nothing&{PERIOD}", "metric"),
        ("metric=nps&capability=nothing&from=2026-03-01&until=2026-04-01", "slice"),
        (f"metric=nps&{PERIOD}&agent=agnes", "agent"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(
    cast: Cast, key: str, question: str, field: str
) -> None:
    answer = get(key, f"evidence/?{question}")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_an_observation_is_kept_once_for_a_key_and_told_masked(cast: Cast, key: str) -> None:
    said = {
        "capability": "network",
        "metric": "resolution_share",
        "standpoint": "account",
        "text": "They ask Agnes by phone instead.",
    }
    first, again = (post(key, "observations/", said) for _ in range(2))
    assert first.status_code == 201
    assert first.content == again.content
    with acting(cast.acme.pk):
        assert Observation.objects.count() == 1
        assert not ObservationAuthor.objects.exists()
    (told,) = get(key, "observations/?capability=network").json()["results"]
    assert told == first.json()
    assert told["text"] == "They ask [name] by phone instead."
    assert set(told) == {"id", "capability", "metric", "standpoint", "text", "week", "answers"}
    assert get(key, "observations/?metric=backlog").json()["results"] == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"capability": "nothing"}, "capability"),
        ({"metric": "csat_share"}, "metric"),
        ({"standpoint": "nobody"}, "standpoint"),
        ({"text": " "}, "text"),
        ({"text": "x" * 1001}, "text"),
        ({"author": "agnes"}, "author"),
    ],
)
def test_an_observation_that_cannot_be_kept_names_the_field(
    cast: Cast, key: str, wrong: dict[str, str], field: str
) -> None:
    said = {"capability": "network", "standpoint": "agent", "text": "So."}
    answer = post(key, "observations/", said | wrong)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_reviews_are_told_in_batches_without_ticket_or_author(cast: Cast, key: str) -> None:
    for number, ticket in enumerate(worked(cast, 5, 3)):
        said = {
            "ticket": {"source": "desk", "external_id": ticket.external_id},
            "marks": GOOD,
            "note": "As Agnes says",
        }
        kept = post(key, "quality-reviews/", said, once=f"{number}")
        assert kept.status_code == 201, kept.content
        assert kept.json()["ticket"]["external_id"] == ticket.external_id
    assert get(key, "quality-reviews/").json()["results"] == []
    with roles.as_role(roles.WORKER):
        assert reviewing_quality.sweep(MAY) == 5
    told = get(key, "quality-reviews/?capability=network").json()["results"]
    assert len(told) == 5
    assert {one["note"] for one in told} == {"As [name] says"}
    assert set(told[0]) == {"id", "capability", "rubric", "marks", "error_in", "note", "week"}


@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"ticket": {"source": "desk", "external_id": "nothing"}}, 400, "ticket"),
        ({"marks": {}}, 400, "marks"),
        ({"marks": GOOD | {"clear": "perhaps"}}, 400, "marks"),
        ({"marks": GOOD | {"kindness": "yes"}}, 400, "marks"),
        ({"error_in": "the agent"}, 400, "error_in"),
        ({"ticket": {"source": "desk", "external_id": "open"}}, 409, ""),
    ],
)
def test_a_review_that_cannot_be_kept_says_why(
    cast: Cast, key: str, wrong: dict[str, Any], status: int, field: str
) -> None:
    enter(cast, news("done", moved(2, "resolved")), news("open"))
    said = {"ticket": {"source": "desk", "external_id": "done"}, "marks": GOOD}
    answer = post(key, "quality-reviews/", said | wrong)
    assert answer.status_code == status, answer.content
    if field:
        assert field in answer.json()["errors"]
    with acting(cast.acme.pk):
        assert not QualityReview.objects.exists()
    assert post(key, "quality-reviews/", said, once="right").status_code == 201
    assert post(key, "quality-reviews/", said, once="again").status_code == 409
