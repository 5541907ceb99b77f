"""Pages: comparisons named beforehand, and what happened marked on courses."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from metrics.models import DeclaredComparison, Occurrence
from portal.audit.models import AuditEntry
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, MONDAY, enter, moved, news
from tests.portal.test_one_number import browser
from tests.portal.test_trends_page import drawn

DECLARED = "/acme/capabilities/network/declared/"
HAPPENED = "/acme/capabilities/network/happened/"


def client_of(person: Any) -> Client:
    client = Client()
    client.force_login(person)
    return client


def form(**other: str) -> dict[str, str]:
    start = timezone.now().date() + timedelta(days=20)
    return {
        "metric": "reopen_rate.rate",
        "severity": "",
        "one": "tenure:new",
        "other": "tenure:experienced",
        "from": start.isoformat(),
        "until": (start + timedelta(days=30)).isoformat(),
        "expected": "New people come back <b>more</b> often.",
        **other,
    }


def test_a_comparison_is_declared_on_its_page_and_not_told_yet(cast: Cast) -> None:
    sam = client_of(cast.sam)
    assert sam.post(DECLARED, form()).status_code == 302
    page = sam.get(DECLARED).content.decode()
    assert "new against experienced" in page
    assert "Not told before" in page
    assert "Expected by Sam" in page
    assert "<b>more</b>" not in page  # escaped
    assert "Declare it" not in client_of(cast.bea).get(DECLARED).content.decode()


def test_what_is_refused_says_why_and_keeps_what_was_written(cast: Cast) -> None:
    sam = client_of(cast.sam)
    for wrong, why in (
        ({"other": "usage:heavy"}, "two parts of one sort"),
        ({"from": "2020-01-01", "until": "2020-02-01"}, "The period has begun"),
        ({"from": "soon"}, "Name the first day"),
        ({"expected": " "}, "Say what you expect"),
        ({"metric": "happiness"}, "nothing that can be compared"),
    ):
        answer = sam.post(DECLARED, form(**wrong))
        assert answer.status_code == 400
        assert why in answer.content.decode()
    assert 'value="tenure:new" selected' in answer.content.decode()
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        assert not DeclaredComparison.objects.exists()


def told(cast: Cast, **more: Any) -> dict[str, Any]:
    return {
        "day": "2026-03-10",
        "kind": "release",
        "words": "Portal 4.2",
        "capability": "network",
    } | more


def test_what_happened_is_marked_on_the_courses_it_touches_and_taken_off(cast: Cast) -> None:
    for week in range(12):
        enter(
            cast,
            *(
                news(f"{week} {n}", moved(2, "resolved"), opened_at=MONDAY + (7 * week - 70) * DAY)
                for n in range(12)
            ),
        )
    olga = client_of(cast.olga)
    sam = client_of(cast.sam)
    assert sam.post(HAPPENED, told(cast)).status_code == 302
    course = "/acme/capabilities/network/trends/"
    page = browser(cast).get(course, {"every": "week"}).content.decode()
    assert [one.count('class="happened"') for one in drawn(page)] == [1, 1]
    assert page.count("release on 10 March 2026: Portal 4.2") >= 2  # drawn, and in the table
    other = olga.get("/acme/capabilities/accounts/trends/", {"every": "week"}).content.decode()
    assert 'class="happened"' not in other
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        mark = Occurrence.objects.get()
    assert sam.post(HAPPENED, {"take_back": str(mark.pk)}).status_code == 302
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        assert not Occurrence.objects.exists()
        acts = list(AuditEntry.objects.filter(act__startswith="occurrence").values_list("act"))
    assert sorted(acts) == [("occurrence.taken_back",), ("occurrence.told",)]


def test_one_thing_is_marked_for_several_services_at_once_but_only_for_ones_own(
    cast: Cast,
) -> None:
    sam = client_of(cast.sam)
    both = told(cast, capability=["network", "accounts"])
    assert sam.post(HAPPENED, both).status_code == 302
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        assert Occurrence.objects.count() == 2
        assert set(Occurrence.objects.values_list("day", flat=True)) == {date(2026, 3, 10)}
    for wrong, why in (
        ({"capability": []}, "Choose the services"),
        ({"words": " "}, "Say what happened"),
        ({"day": "then"}, "Choose a day"),
        ({"kind": "weather"}, "Choose a day"),
        ({"words": "w" * 201}, "longer than 200"),
    ):
        answer = sam.post(HAPPENED, told(cast, **wrong))
        assert answer.status_code == 400
        assert why in answer.content.decode()


def test_the_page_asks_little_however_many_are_declared(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    """Columns are read once a kind, and only where a period has begun."""
    sam = client_of(cast.sam)
    for _ in range(5):
        assert sam.post(DECLARED, form()).status_code == 302
        with django_assert_max_num_queries(20):
            assert sam.get(DECLARED).status_code == 200
    assert sam.post(DECLARED, form()).status_code == 400  # the sixth
