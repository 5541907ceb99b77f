"""What every operation of the API does alike: pages, parameters, methods."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import roles
from tests.factories import CapabilityFactory, Cast
from tests.portal.test_permissions import key_of


@pytest.fixture
def key(cast: Cast) -> str:
    return key_of(cast, *Scope)[1]


def call(key: str, path: str, method: str = "get") -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    return getattr(Client(), method)(f"/api/v1/{path}", headers=headers)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_hold_every_capability_once(cast: Cast, key: str, limit: int) -> None:
    """They are in the order of their domain's key, a field of another table."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for slug in ("a-printer", "printing", "zip"):
            CapabilityFactory(tenant=cast.acme, domain=cast.it, slug=slug)
    whole = [one["slug"] for one in call(key, "capabilities/").json()["results"]]
    found: list[str] = []
    page = call(key, f"capabilities/?limit={limit}").json()
    while page["next"]:
        found += [one["slug"] for one in page["results"]]
        page = call(key, page["next"].split("/api/v1/")[1]).json()
    found += [one["slug"] for one in page["results"]]
    assert found == whole
    assert len(set(found)) == len(found) > limit


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data-quality/", "source"),
        ("ingest/messages/", "status"),
        ("observations/", "standpoint"),
        ("tickets/", "opened_until"),
        ("capabilities/", "domain"),
        ("readings/export/", "severity"),
    ],
)
def test_an_empty_parameter_is_refused_and_not_taken_for_none(
    key: str, path: str, name: str
) -> None:
    refused = call(key, f"{path}?{name}=")
    assert refused.status_code == 400
    assert "Empty" in refused.json()["errors"][name][0]["message"]


def test_options_are_refused_whatever_a_path_answers_with(key: str) -> None:
    for path in ("readings/export/?format=csv", "capabilities/"):
        refused = call(key, path, "options")
        assert refused.status_code == 405
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["allow"] == "GET, HEAD"
