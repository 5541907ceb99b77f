"""Characters that no database keeps, in addresses, searches and forms: an answer, no failure."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import DataError
from django.test import Client

from portal.people.roles import Scope
from tests import permission_matrix as matrix
from tests.factories import Cast
from tests.portal.test_permissions import key_of, page, sheet
from tickets import mapping_page, views
from tickets.mapping_page import STATUS

__all__ = ["sheet"]

ROOT = Path(__file__).parents[2]
ROOMS = ("portal", "tickets", "surveys", "metrics", "governance")
#: NUL, and half of a surrogate pair as UTF-8 would write it.
HOSTILE = ("%00", "%ED%A0%BD", "a%00b")


def parameters() -> set[str]:
    """Every query parameter that a page's code asks for."""
    asked = re.compile(r"(?:GET|query)(?:\.get\(|\[)\"([a-z_]+)\"")
    sources = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return {name for path in sources for name in asked.findall(path.read_text())}


def test_the_parameters_of_pages_are_found() -> None:
    assert {"q", "role", "account", "figure", "capability", "from", "page"} <= parameters()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_page_fails_at_what_is_asked_of_it(cast: Cast, sheet: int, hostile: str) -> None:
    asked = "&".join(f"{name}={hostile}" for name in sorted(parameters()))
    for name, may in matrix.PAGES.items():
        client = Client()
        client.force_login(getattr(cast, min(may)))
        answer = client.get(f"{page(name, sheet)}?{asked}")
        assert answer.status_code < 500, name


def test_unguarded_the_search_for_accounts_would(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    monkeypatch.setattr(views, "storable", lambda text: text)
    client = Client()
    client.force_login(cast.ada)
    for asked in ("q", "role"):
        with pytest.raises(DataError):
            client.get(f"/acme/sources/desk/roles/?{asked}=%00")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_ticket_of_such_a_name_is_nowhere(cast: Cast, hostile: str) -> None:
    client = Client()
    client.force_login(cast.sam)
    assert client.get(f"/acme/tickets/desk/{hostile}/").status_code == 404
    _, secret = key_of(cast, *Scope)
    call = {"headers": {"Authorization": f"Bearer {secret}"}}
    assert client.get(f"/api/v1/tickets/desk/{hostile}/", **call).status_code == 404


def test_a_word_of_such_a_name_is_mapped_as_it_is_kept(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    client.force_login(cast.ada)
    field = mapping_page.field_name(STATUS, "Sol\0ved")
    said = {"act": "save", "number": "0", field: "resolved"}
    assert client.post("/acme/sources/desk/mapping/", said).status_code == 302
    assert quote("\0") in field
    monkeypatch.setattr(mapping_page, "storable", lambda text: text)
    with pytest.raises(DataError):
        client.post("/acme/sources/desk/mapping/", said | {"number": "1"})
