"""Whatever a page links to opens for whoever is shown the link: nobody is led to a closed door."""

from __future__ import annotations

import re
from collections import deque
from html import unescape
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from django.test import Client

from portal import courses
from tests.factories import Cast
from tests.portal.test_permissions import PEOPLE, client_of, sheet

__all__ = ["sheet"]

_LINK = re.compile(r'<a\b[^>]*?\shref="([^"]*)"')


def shape(address: str) -> str:
    """Of addresses that differ by a number or the words of a filter only, one is enough."""
    parts = urlsplit(address)
    asked = ",".join(sorted(pair.partition("=")[0] for pair in parts.query.split("&")))
    return re.sub(r"\d+", "#", parts.path) + "?" + asked


def closed_doors(client: Client, home: str) -> tuple[list[str], int]:
    """Where links lead to that does not open, as "from → to", and how many pages were opened."""
    waiting, seen, closed, opened = deque([("", home)]), {shape(home)}, list[str](), 0
    while waiting:
        source, address = waiting.popleft()
        answer = client.get(address, headers={"Accept-Encoding": "identity"})
        if answer.status_code >= 400:
            closed.append(f"{source} → {address}")
        opened += 1
        if answer.status_code != 200 or "html" not in answer.headers["Content-Type"]:
            continue
        for told in _LINK.findall(answer.content.decode()):
            leads = urldefrag(urljoin(address, unescape(told))).url
            if leads.startswith(home) and shape(leads) not in seen:
                seen.add(shape(leads))
                waiting.append((address, leads))
    return closed, opened


@pytest.mark.parametrize("person", [one for one in PEOPLE if one != "eve"])
def test_every_link_opens_for_whoever_is_shown_it(cast: Cast, sheet: int, person: str) -> None:
    closed, opened = closed_doors(client_of(cast, person), "/acme/")
    assert closed == []
    assert opened > 5


def test_a_link_that_does_not_open_is_found(
    cast: Cast, sheet: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    monkeypatch.setattr(courses, "page", lambda **asked: None)
    closed, _ = closed_doors(client_of(cast, "olga"), "/acme/")
    assert "/acme/capabilities/accounts/ → /acme/capabilities/accounts/trends/" in closed
