"""How much a page asks the database does not grow with the number of services it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal import quality
from portal.catalogue.models import Capability
from portal.organisations import Member
from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import permission_matrix as matrix
from tests.factories import CapabilityFactory, Cast, TicketFactory
from tests.portal.test_permissions import CALLS, call, client_of, key_of, page, sheet, ticket
from tests.roles import OWNER, as_role

__all__ = ["sheet", "ticket"]

#: Who reads most: the owner and the manager of services, their business unit's lead, the
#: administrator, who looks after the data, and somebody of whom nothing is known.
READERS = ("olga", "sam", "bea", "ada", "rui")
MORE = 12


def serve_more(cast: Cast) -> None:
    """More services like the first one, each with a ticket."""
    with as_role(OWNER), acting(cast.acme.pk):
        for number in range(MORE):
            one = CapabilityFactory(
                tenant=cast.acme,
                domain=cast.it,
                slug=f"more-{number}",
                name=f"More {number}",
                process_owner=cast.olga,
                policy_owner=cast.pia,
                business_unit=cast.sales,
            )
            TicketFactory(
                tenant=cast.acme,
                connection=cast.desk,
                external_id=f"more-{number}",
                capability=one,
                opened_at=timezone.now(),
            )


def asked(tellers: Iterable[Callable[[], Any]]) -> Iterator[int]:
    """How much each asks, once what is kept and what is read once a process is there."""
    for tell in tellers:
        tell()
        with CaptureQueriesContext(connection) as found:
            assert tell().status_code == 200
        yield len(found)


def compare(cast: Cast, tellers: dict[str, Callable[[], Any]]) -> dict[str, tuple[int, int]]:
    """Who asks more once there are more services, with how much before and after."""
    before = list(asked(tellers.values()))
    serve_more(cast)
    after = list(asked(tellers.values()))
    both = zip(tellers, before, after, strict=True)
    return {name: (less, more) for name, less, more in both if more > less}


@pytest.mark.parametrize("person", READERS)
def test_no_page_asks_more_about_more_services(cast: Cast, sheet: int, person: str) -> None:
    pages = sorted(name for name, readers in matrix.PAGES.items() if person in readers)
    client = client_of(cast, person)
    tellers = {name: partial(client.get, page(name, sheet)) for name in pages}
    assert compare(cast, tellers) == {}


def test_no_list_of_the_api_asks_more_about_more_services(cast: Cast, ticket: None) -> None:
    _, secret = key_of(cast, *Scope)
    lists = [one for one in CALLS if one[1] == "GET" and one not in _OF_ONE_MESSAGE]
    assert compare(cast, {one[0]: partial(call, one, secret) for one in lists}) == {}


#: Nobody sent it.
_OF_ONE_MESSAGE = {("api_message", "GET")}


def test_a_page_that_asks_about_each_service_is_found(
    cast: Cast, sheet: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""

    def each(member: Member, now: datetime) -> quality.Page:
        for one in Capability.objects.for_tenant(member.organisation):
            one.domain  # noqa: B018 - looked up for every one
        return quality.Page([], False)

    monkeypatch.setattr(quality, "page", each)
    look = {"reviews": partial(client_of(cast, "sam").get, page("quality_reviews", sheet))}
    assert list(compare(cast, look)) == ["reviews"]
