"""What a page weighs on the way to a browser."""

from __future__ import annotations

import gzip
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import Cast
from tests.portal.test_one_number import browser

#: Bytes of a page on first load, whoever reads it (every page is complete without scripts).
MOST = 100_000


def test_a_scorecard_travels_packed_to_a_browser_that_unpacks(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: moment)
    olga = browser(cast, "olga")
    path = reverse("scorecard", args=["acme", "network"])
    plain = olga.get(path)
    packed = olga.get(path, headers={"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in plain.headers
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    assert _page(gzip.decompress(packed.content)) == _page(plain.content)
    assert len(packed.content) < min(MOST, len(plain.content) / 3)


def test_how_long_it_is_packed_tells_nothing_of_what_it_holds(cast: Cast) -> None:
    """Whoever can make a browser ask, and watch lengths, could otherwise guess what is in it."""
    path, packed = reverse("account_login"), {"Accept-Encoding": "gzip"}
    lengths = {len(Client().get(path, headers=packed).content) for _ in range(12)}
    assert len(lengths) > 3


def _page(content: bytes) -> str:
    """Without what differs from answer to answer."""
    return re.sub(r'(csrfmiddlewaretoken" value="|nonce=")[^"]+', "", content.decode())
