"""Suggested targets: the handbook's examples from stored rows, on their page and in the trail."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from governance.models import TargetSheet
from governance.suggestions import Benchmark, NotSuggestable, Suggested, Wish, suggested
from metrics.measure import Reader
from metrics.suggesting import Source
from metrics.trends import mature_until, months_before
from portal.audit.models import AuditEntry
from portal.tenancy.context import acting
from tests import roles
from tests.factories import PASSWORD, CapabilityFactory, Cast
from tests.metrics.many import answered
from tests.metrics.told import enter, moved, news, replied
from tests.portal.test_one_number import browser, key

#: The last complete month whose answers no longer change is then May.
LATER = datetime(2026, 7, 1, 9, tzinfo=UTC)
SURVEY = "csat_share.share"
BENCHMARK = Benchmark(0.85, "the industry's yearbook", date(2026, 1, 15))
PAGE = "/acme/targets/propose/"


def asked(cast: Cast, wish: Wish, *, at: datetime = LATER, capability: Any = None) -> Suggested:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=at)
        (found,) = suggested(reader, capability or cast.network, [wish])
        return found


def five_months(cast: Cast, capability: Any = None) -> None:
    """444 of 600, which is 74 %, in five months of 120 answers each."""
    for month in range(1, 6):
        at = datetime(2026, month, 10, 9, tzinfo=UTC)
        answered(cast, 89 if month < 5 else 88, 120, at=at, capability=capability)


def test_the_handbooks_example_from_stored_rows(cast: Cast) -> None:
    five_months(cast)
    found = asked(cast, Wish(SURVEY, benchmark=BENCHMARK, maturity=2))
    assert found.baseline is not None
    assert found.baseline.value == pytest.approx(0.74)  # drawn to a field of itself alone
    assert (found.baseline.periods, found.a_month) == (5, 120)
    assert found.months[0].why_not == "no answers are counted in this period yet"
    told = found.suggestion
    assert told is not None
    assert told.raw == pytest.approx(0.773)
    assert told.target == pytest.approx(0.77)
    assert (told.answers_needed, told.months_needed) == (756, 7)
    assert told.cannot_be_judged_monthly
    assert told.needs_process_change is None  # five points have no limits
    assert told.source is Source.BENCHMARK


def test_the_handbooks_reopen_example_needs_a_process_change(cast: Cast) -> None:
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    for month in range(8):
        opened = datetime(2025, 10, 6, 8, tzinfo=UTC) + timedelta(days=30.5 * month)
        enter(
            cast,
            *(
                news(f"{month} {n}", moved(2, "resolved"), *(again if n < 6 else ()),
                     opened_at=opened)
                for n in range(25)
            ),
        )  # fmt: skip
    reopened = "reopen_rate.rate"
    found = asked(cast, Wish(reopened, benchmark=Benchmark(0.1, "x", LATER.date()), maturity=3))
    assert found.baseline is not None
    assert found.baseline.value == pytest.approx(0.24)
    # every month alike: by itself the process stays where it is
    assert found.natural_limit == pytest.approx(0.24)
    told = found.suggestion
    assert told is not None
    assert told.raw == pytest.approx(0.184)
    assert told.target == pytest.approx(0.18)
    assert told.needs_process_change
    assert (told.answers_needed, told.months_needed) == (158, 7)  # 25 a month
    easy = asked(cast, Wish(reopened, benchmark=Benchmark(0.30, "x", LATER.date()), maturity=3))
    assert easy.suggestion is not None
    assert easy.suggestion.hold
    assert not easy.suggestion.needs_process_change


def test_without_a_benchmark_the_own_services_upper_quartile_marked_so(cast: Cast) -> None:
    five_months(cast)
    shares = {cast.accounts: 80}
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for satisfied in (90, 100):
            one = CapabilityFactory(tenant=cast.acme, domain=cast.it, process_owner=cast.olga)
            shares[one] = satisfied
    at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    three = list(shares.items())[:2]
    for capability, satisfied in three:
        answered(cast, satisfied, 100, at=at, capability=capability)
    too_few = asked(cast, Wish(SURVEY))
    assert too_few.suggestion is None
    assert "3 of the organisation's services" in too_few.why_not
    capability, satisfied = list(shares.items())[2]
    answered(cast, satisfied, 100, at=at, capability=capability)
    found = asked(cast, Wish(SURVEY))
    assert found.suggestion is not None
    assert found.suggestion.source is Source.OWN_CAPABILITIES
    # 74, 80, 90 and 100 %: type 7 at three quarters is 92.5, half up
    assert found.suggestion.target == pytest.approx(0.93)
    assert found.services == 4


def test_too_few_months_and_unreliable_ones_suggest_nothing(cast: Cast) -> None:
    for month in (3, 4):
        answered(cast, 60, 80, at=datetime(2026, month, 10, 9, tzinfo=UTC))
    answered(cast, 5, 6, at=datetime(2026, 5, 10, 9, tzinfo=UTC), silent=100)
    answered(cast, 3, 3, at=datetime(2026, 2, 10, 9, tzinfo=UTC))
    wish = Wish(SURVEY, benchmark=BENCHMARK, maturity=2)
    found = asked(cast, wish)
    assert found.suggestion is None
    assert "2 can be used, and 3 are needed" in found.why_not
    reasons = {one.label: one.why_not for one in found.months}
    assert reasons["May 2026"] == "unreliable"
    assert reasons["Feb 2026"] == "too few answers"
    assert "of': 3," not in str(found.inputs())  # nothing of the few is told
    answered(cast, 60, 80, at=datetime(2026, 1, 10, 9, tzinfo=UTC))
    assert asked(cast, wish).suggestion is not None


def test_months_on_another_scale_are_left_out(cast: Cast) -> None:
    five_months(cast)
    answered(cast, 8, 12, at=datetime(2025, 12, 10, 9, tzinfo=UTC), scale="csat_1_7")
    found = asked(cast, Wish(SURVEY, benchmark=BENCHMARK, maturity=2))
    assert found.months[0].why_not == "before the answers' scale changed"
    assert found.baseline is not None
    assert found.baseline.periods == 5
    at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    answered(cast, 8, 12, at=at, scale="csat_1_7")  # March is of two scales
    mixed = asked(cast, Wish(SURVEY, benchmark=BENCHMARK, maturity=2))
    assert mixed.suggestion is None
    assert "2 can be used" in mixed.why_not


@pytest.mark.parametrize(
    "wish",
    [
        Wish("backlog.open"),
        Wish("happiness"),
        Wish(SURVEY, maturity=6),
        Wish(SURVEY, benchmark=BENCHMARK),
        Wish(SURVEY, benchmark=Benchmark(1.2, "x", LATER.date()), maturity=2),
        Wish(SURVEY, benchmark=Benchmark(0.8, " ", LATER.date()), maturity=2),
    ],
)
def test_what_has_no_suggestion_is_refused(cast: Cast, wish: Wish) -> None:
    with pytest.raises(NotSuggestable):
        asked(cast, wish)


# --- the page and the trail ----------------------------------------------------------------------


def question(**more: str) -> dict[str, str]:
    return {
        "for": "network",
        "maturity": "2",
        "benchmark-csat_share-share": "85",
        "source-csat_share-share": "the <b>yearbook</b>",
        "on-csat_share-share": "2026-01-15",
    } | more


@pytest.fixture
def served(cast: Cast) -> Cast:
    """74 % in the last five complete months, as of today."""
    with acting(cast.acme.pk):
        until = mature_until(Reader(cast.acme, as_of=timezone.now()), SURVEY)
    for number, month in enumerate(months_before(until, 5)):
        at = datetime.combine(month.start + timedelta(days=9), datetime.min.time(), tzinfo=UTC)
        answered(cast, 89 if number < 4 else 88, 120, at=at)
    return cast


def test_a_process_owner_sees_the_suggestion_with_its_inputs(served: Cast) -> None:
    page = browser(served).get(PAGE, question()).content.decode()
    assert "<strong>At least 77.0 %</strong>" in page
    assert "Cannot be judged monthly: telling it from now needs 756 answers, at 120 a month" in page
    assert "7 months" in page
    assert "Now 74.0 %, over 5 months" in page
    assert "89 of 120" in page
    assert "<b>yearbook</b>" not in page
    assert "yearbook" in page
    assert 'value="77.0"' in page  # ready to be proposed
    assert "<strong>At least 77.0 %" not in browser(served).get(PAGE).content.decode()


def test_what_was_suggested_is_kept_in_the_trail_with_what_is_proposed(served: Cast) -> None:
    start = (timezone.now().date().replace(day=1) + timedelta(days=63)).replace(day=1)
    said = {
        "domain": served.it.pk,
        "effective_from": start.isoformat(),
        "effective_until": (start + timedelta(days=300)).isoformat(),
        "rationale": "A step that can be reached.",
        "csat_share-share": "78",
        "csat_share-share-for": served.network.pk,
        "password": PASSWORD,
    }
    query = "&".join(f"{name}={value}" for name, value in question().items())
    answer = browser(served).post(f"{PAGE}?{query}", said)
    assert answer.status_code == 302, answer.content.decode()
    with roles.as_role(roles.OWNER), acting(served.acme.pk):
        entry = AuditEntry.objects.get(act="targets.proposed")
    (kept,) = entry.detail["suggestions"]
    assert kept["suggested"] == 0.77
    assert kept["proposed"] == "0.7800"
    assert kept["proposed_for"] == "network"
    assert (kept["benchmark"], kept["benchmark_date"]) == (0.85, "2026-01-15")
    assert (kept["maturity"], kept["answers_needed"], kept["baseline"]) == (2, 756, 0.74)
    assert [one["of"] for one in kept["periods"]] == [120] * 5
    browser(served).post(PAGE, said)  # without asking there is none
    with roles.as_role(roles.OWNER), acting(served.acme.pk):
        last = AuditEntry.objects.filter(act="targets.proposed").last()
        assert last is not None
        assert "suggestions" not in last.detail


def test_a_benchmark_needs_its_source_date_and_maturity(served: Cast) -> None:
    for missing, why in (
        ({"source-csat_share-share": ""}, "has a source and a date"),
        ({"on-csat_share-share": ""}, "has a source and a date"),
        ({"maturity": ""}, "needs the maturity"),
        ({"maturity": "9"}, "not one of the available choices"),
        ({"for": "nowhere"}, "not one of the available choices"),
    ):
        page = browser(served).get(PAGE, question(**missing)).content.decode()
        assert why in page, missing
        assert "<strong>At least" not in page
    query = "&".join(f"{name}={value}" for name, value in question(maturity="").items())
    answer = browser(served).post(f"{PAGE}?{query}", {"password": PASSWORD})
    assert answer.status_code == 400
    with acting(served.acme.pk):
        assert not TargetSheet.objects.for_tenant(served.acme).exists()


def test_nobody_suggests_for_a_service_of_somebody_else(served: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(served.acme.pk):
        type(served.network).objects.filter(pk=served.network.pk).update(process_owner=served.sam)
    page = browser(served).get(PAGE, question()).content.decode()
    assert "74.0 %" not in page
    assert browser(served, "sam").get(PAGE, question()).status_code == 404  # accepts, not proposes


def test_the_api_suggests_the_same(served: Cast) -> None:
    asked_for = {
        "capability": "network",
        "metric": SURVEY,
        "maturity": "2",
        "benchmark": "0.85",
        "benchmark_source": "the yearbook",
        "benchmark_date": "2026-01-15",
    }
    address = "/api/v1/targets/suggestion/"
    client, headers = Client(), key(served)
    told = client.get(address, asked_for, headers=headers).json()
    assert (told["suggested"], told["source"], told["months_needed"]) == (0.77, "benchmark", 7)
    assert told["cannot_be_judged_monthly"] is True
    for wrong in (
        {"maturity": "6"},
        {"capability": "nowhere"},
        {"metric": "happiness"},
        {"benchmark_source": ""},
        {"colour": "red"},
    ):
        assert client.get(address, asked_for | wrong, headers=headers).status_code == 400, wrong
    alone = client.get(
        address, {"capability": "network", "metric": SURVEY, "benchmark": "0.85"}, headers=headers
    )
    assert alone.status_code == 400
    assert "maturity" in alone.content.decode()


def test_the_page_asks_no_more_for_more_services(
    served: Cast, django_assert_max_num_queries: Any
) -> None:
    client = browser(served)
    client.get("/acme/")  # a new session is written once
    with django_assert_max_num_queries(75):
        client.get(PAGE, question())
    with roles.as_role(roles.OWNER), acting(served.acme.pk):
        for _ in range(5):
            CapabilityFactory(tenant=served.acme, domain=served.it, process_owner=served.olga)
    with django_assert_max_num_queries(75):
        client.get(PAGE, question())
