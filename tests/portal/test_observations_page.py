"""The page of observations: written in half a minute, read without a name, answered in the open."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from metrics.models import Observation, ObservationAnswer
from portal.tenancy.context import acting
from tests.factories import Cast

PAGE = "/acme/voice/observations/"
SAID = {"capability": "network", "metric": "", "text": "Agnes: people ask the wrong queue first."}


def client_of(cast: Cast, name: str) -> Client:
    client = Client()
    client.force_login(getattr(cast, name))
    return client


def page_of(cast: Cast, name: str) -> str:
    return client_of(cast, name).get(PAGE).content.decode()


def kept(cast: Cast, by: str = "agnes") -> Observation:
    assert client_of(cast, by).post(PAGE, SAID).status_code == 302
    with acting(cast.acme.pk):
        return Observation.objects.latest("pk")


def test_its_author_finds_it_and_those_who_run_the_service_read_it_without_the_name(
    cast: Cast,
) -> None:
    kept(cast)
    assert "Agnes: people ask the wrong queue first." in page_of(cast, "agnes")
    for reader in ("olga", "sam", "bea"):
        page = page_of(cast, reader)
        assert "[name]: people ask the wrong queue first." in page
        assert "Agnes" not in page
        assert "an agent, about the service in general" in page
    for other in ("arjun", "pia", "cleo"):
        assert "wrong queue" not in page_of(cast, other)


@pytest.mark.parametrize(
    ("by", "standpoint"),
    [("agnes", "agent"), ("cleo", "account"), ("bea", "business_unit"), ("sam", "service")],
)
def test_it_is_kept_in_the_role_of_its_author(cast: Cast, by: str, standpoint: str) -> None:
    assert kept(cast, by).standpoint == standpoint


def test_what_becomes_of_it_is_said_with_a_name_and_read_by_its_author(cast: Cast) -> None:
    pk = kept(cast).pk
    olga = client_of(cast, "olga")
    said = {"observation": pk, "outcome": "acted", "reason": "The form now asks for the queue."}
    assert olga.post(PAGE, said).status_code == 302
    page = page_of(cast, "agnes")
    assert "Something is being changed: The form now asks for the queue." in page
    assert "(Olga, " in page
    with acting(cast.acme.pk):
        assert ObservationAnswer.objects.count() == 1


@pytest.mark.parametrize("by", ["bea", "agnes", "pia"])
def test_others_do_not_answer(cast: Cast, by: str) -> None:
    said = {"observation": kept(cast).pk, "outcome": "nothing", "reason": "No."}
    assert client_of(cast, by).post(PAGE, said).status_code == 404


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"outcome": "perhaps"}, {"reason": "x" * 501}])
def test_an_answer_that_cannot_be_kept_says_why(cast: Cast, wrong: dict[str, str]) -> None:
    said = {"observation": kept(cast).pk, "outcome": "nothing", "reason": "No.", **wrong}
    answer = client_of(cast, "olga").post(PAGE, said)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    with acting(cast.acme.pk):
        assert not ObservationAnswer.objects.exists()


@pytest.mark.parametrize("number", ["0", "x", "9" * 30, "²"])
def test_an_observation_that_is_not_there_is_not_answered(cast: Cast, number: str) -> None:
    said = {"observation": number, "outcome": "nothing", "reason": "No."}
    assert client_of(cast, "olga").post(PAGE, said).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [{"capability": "globex"}, {"text": " "}, {"metric": "csat_share"}, {"text": "x" * 1001}],
)
def test_a_mistake_is_told_beside_its_field(cast: Cast, wrong: dict[str, str]) -> None:
    answer = client_of(cast, "agnes").post(PAGE, {**SAID, **wrong})
    assert answer.status_code == 400
    assert 'class="error"' in answer.content.decode()


def test_the_page_asks_as_much_for_one_as_for_twenty(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        kept(cast, "sam")
    client = client_of(cast, "sam")
    with django_assert_max_num_queries(24):
        client.get(PAGE)
