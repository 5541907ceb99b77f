"""Readings and targets as the command and the REST API tell them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance.cosigning import accept, cosign
from governance.targets import Wanted, propose
from metrics import packing, words
from metrics.keeping import KEPT
from metrics.measure import Reader
from portal.people.api_keys import create_key
from portal.people.roles import Scope
from portal.readings import Answering, Asked
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, asked, enter, moved, news, promise, replied

JANUARY = datetime(2026, 1, 10, tzinfo=UTC)
PERIOD = {"from": "2026-03-01", "until": "2026-04-01"}


@pytest.fixture
def told(cast: Cast) -> Cast:
    """Ten resolved tickets of the network in March, two reopened; two of accounts; ten answers."""
    promise(cast)
    for number in range(10):
        back = (moved(48, "open"), replied(49), moved(50, "resolved")) if number < 2 else ()
        enter(cast, news(f"N{number}", replied(1), moved(2, "resolved"), *back))
        asked(cast, 5)
    enter(cast, *(news(f"A{n}", moved(3, "resolved"), capability="accounts") for n in range(2)))
    return cast


def sheet(
    cast: Cast, *, signed: bool, metric: str = "reopen_rate.rate", value: str = "0.25"
) -> None:
    """A target, proposed by Olga in January and signed by Sam and Bea too if asked."""
    with acting(cast.acme.pk):
        found = propose(
            tenant=cast.acme,
            domain=cast.it,
            wanted=[Wanted(metric, Decimal(value))],
            effective_from=date(2026, 2, 1),
            effective_until=date(2026, 12, 31),
            rationale="What came back last year.",
            by=cast.olga,
            at=JANUARY,
            reauthenticated_at=JANUARY,
        )
        if signed:
            accept(sheet_id=found.pk, by=cast.sam, at=JANUARY, reauthenticated_at=JANUARY)
            cosign(sheet_id=found.pk, by=cast.bea, at=JANUARY, reauthenticated_at=JANUARY)


def caller(cast: Cast, *scopes: Scope) -> Client:
    """A client with a key of these scopes."""
    now = timezone.now()
    with acting(cast.acme.pk):
        _, secret = create_key(
            tenant_id=cast.acme.pk,
            name=f"reader {uuid4()}",
            scopes=scopes,
            expires_at=now + 30 * DAY,
            by=cast.ada,
            at=now,
        )
    return Client(headers={"authorization": f"Bearer {secret}"})


def get(cast: Cast, **asked_for: str) -> Any:
    return caller(cast, Scope.READ_INTERNAL).get(reverse("api_readings"), asked_for)


def command(metric: str, *more: str) -> Any:
    """What `manage.py read` prints of March."""
    out = StringIO()
    line = ["--organisation=acme", f"--metric={metric}", "--json"]
    with roles.as_role(roles.WORKER):
        call_command("read", *line, "--from=2026-03-01", "--until=2026-04-01", *more, stdout=out)
    return json.loads(out.getvalue())


def test_the_commands_words_have_the_interval_and_the_standing(told: Cast) -> None:
    out = StringIO()
    line = ["--organisation=acme", "--metric=reopen_rate", "--where=capability=network"]
    with roles.as_role(roles.WORKER):
        call_command("read", *line, "--from=2026-03-01", "--until=2026-04-01", stdout=out)
    reading = command("reopen_rate", "--where=capability=network")
    ends = (words.percent(reading["interval"][end]) for end in ("lower", "upper"))
    assert f"  95 %: {' to '.join(ends)}" in out.getvalue()
    assert reading["sentence"] in out.getvalue()


# --- readings by REST -----------------------------------------------------------------------------


def test_a_reading_is_told_with_everything_that_stands_beside_it(told: Cast) -> None:
    response = get(told, metric="csat_share", capability="network", **PERIOD)
    assert response.status_code == 200
    reading = response.json()
    assert (reading["value"], reading["numerator"], reading["denominator"]) == (1.0, 10, 10)
    assert reading["response_rate"] == 1.0
    assert reading["slice"] == {
        "capability": "network",
        "severity": None,
        "domain": None,
        "segment": None,
    }
    assert reading["period"] == PERIOD
    assert reading["interval"]["lower"] == pytest.approx(0.7224672)
    assert reading["sentence"].startswith("100.0 % of the people who answered")
    assert reading["guardrail"]
    assert reading["paired_evidence"]


def test_the_api_and_the_command_tell_the_same(told: Cast) -> None:
    sheet(told, signed=True)
    for metric in ("reopen_rate", "csat_share", "backlog"):
        by_api = get(told, metric=metric, capability="network", **PERIOD).json()
        by_command = command(metric, "--where=capability=network")
        assert by_api.pop("as_of")
        assert by_command.pop("as_of")
        assert by_api == by_command


def test_a_pooled_duration_is_refused_with_its_reason(told: Cast) -> None:
    refused = get(told, metric="resolution_time.cohort_median", **PERIOD)
    assert refused.status_code == 400
    assert refused["content-type"] == "application/problem+json"
    assert "never pooled across severities" in refused.content.decode()
    told_one = get(told, metric="resolution_time.cohort_median", severity="medium", **PERIOD)
    assert told_one.json()["value"] == 2 * 3_600


@pytest.mark.parametrize(
    ("asked_for", "word"),
    [
        ({"metric": "happiness"}, "there are csat_share"),
        ({"metric": "reopen_rate", "capability": "plumbing"}, "no capability 'plumbing'"),
        ({"metric": "reopen_rate", "domain": "hr"}, "no domain 'hr'"),
        ({"metric": "reopen_rate", "severity": "awful"}, "not a valid choice"),
        ({"metric": "telemetry_proxy", "severity": "low"}, "has no severity"),
        (
            {"metric": "reopen_rate", "segment": "tenure:young"},
            "there are tenure:unknown, tenure:new",
        ),
        ({"metric": "reopen_rate", "segment": "new"}, "There is no segment 'new'"),
        ({"metric": "recurrence", "segment": "tenure:new"}, "not told by segment"),
        ({"metric": "reopen_rate", "agent": "agnes"}, "Unknown parameter"),
        ({"metric": "reopen_rate", "until": "2026-02-01"}, "is empty, longer than three years"),
        ({"metric": "reopen_rate", "until": "2126-02-01"}, "is empty, longer than three years"),
        ({"metric": "reopen_rate", "until": "soon"}, "format"),
        ({}, "required"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    cast: Cast, asked_for: dict[str, str], word: str
) -> None:
    refused = get(cast, **(PERIOD | asked_for))
    assert refused.status_code == 400
    assert word in refused.content.decode()


def test_more_than_is_held_in_memory_is_refused_with_what_to_do(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(told, metric="reopen_rate", **PERIOD).status_code == 200
    KEPT.clear()
    monkeypatch.setattr(packing, "MOST_BYTES", 1)
    refused = get(told, metric="reopen_rate", **PERIOD)
    assert refused.status_code == 400
    assert "Ask for a shorter period" in refused.content.decode()


@pytest.mark.parametrize("where", [{}, {"domain": "it"}])
def test_a_total_that_would_tell_of_a_service_with_few_answers_is_left_untold(
    told: Cast, where: dict[str, str]
) -> None:
    for score in (1, 5, 5):
        asked(told, score, capability=told.accounts)
    KEPT.clear()
    total = get(told, metric="csat_share", **where, **PERIOD).json()
    assert (total["value"], total["numerator"], total["denominator"]) == (None, None, None)
    assert "in one service alone fewer than 5 answers are counted" in total["sentence"]
    alone = get(told, metric="csat_share", capability="network", **PERIOD).json()
    assert (alone["numerator"], alone["denominator"]) == (10, 10)
    for score in (1, 5):
        asked(told, score, capability=told.accounts)
    KEPT.clear()
    assert get(told, metric="csat_share", **where, **PERIOD).json()["denominator"] == 15


@pytest.mark.parametrize(
    ("few", "enough"),
    [
        ({"capability": "accounts"}, {"capability": "network"}),
        ({"severity": "low"}, {"severity": "medium"}),
    ],
)
def test_what_is_told_so_far_finds_no_part_with_few_answers_either(
    told: Cast, few: dict[str, str], enough: dict[str, str]
) -> None:
    def so_far(**where: str) -> Any:
        KEPT.clear()
        moment = datetime(2026, 3, 10, tzinfo=UTC)  # whoever was asked has time until the 16th
        asked_for = Asked(date(2026, 3, 1), date(2026, 4, 1), **where)
        with acting(told.acme.pk):
            found = Answering(Reader(told.acme, as_of=moment)).measure("csat_share", asked_for)
        assert found.value is None
        assert ("So far" in found.sentence) == (found.so_far is not None)
        return found.so_far and found.so_far["denominator"]

    beside = (
        {"capability": told.accounts}
        if "capability" in few
        else {"capability": told.network, "severity": "low"}
    )
    for score in (1, 5, 5):
        asked(told, score, **beside)
    total = {} if "capability" in few else {"capability": "network"}
    assert so_far(**total, **few) is None
    if "capability" in few:  # the services are told, and their total is not
        assert (so_far(), so_far(**enough)) == (None, 10)
    else:  # the total is told, and no part of it
        assert (so_far(**total), so_far(**total, **enough)) == (13, None)
    for score in (1, 5):
        asked(told, score, **beside)
    assert (so_far(**total), so_far(**total, **enough)) == (15, 10)
    assert so_far(**total, **few) == 5


def test_figures_need_the_scope_to_read_them(told: Cast) -> None:
    question = {"metric": "reopen_rate", **PERIOD}
    assert Client().get(reverse("api_readings"), question).status_code == 401
    for scope in (Scope.READ_PUBLISHED, Scope.INGEST_EVENTS, Scope.ADMIN_CONFIG):
        refused = caller(told, scope).get(reverse("api_readings"), question)
        assert refused.status_code == 403
    assert get(told, **question).status_code == 200


# --- targets --------------------------------------------------------------------------------------


def test_only_a_signed_target_decides_anything(told: Cast) -> None:
    sheet(told, signed=False)
    reading = get(told, metric="reopen_rate", capability="network", **PERIOD).json()
    assert (reading["value"], reading["kept"], reading["status"]) == (0.2, None, None)
    assert reading["target"]["state"] == "proposed"


def test_a_signed_target_is_kept_by_the_value_and_met_only_beyond_doubt(told: Cast) -> None:
    sheet(told, signed=True)
    reading = get(told, metric="reopen_rate", capability="network", **PERIOD).json()
    assert (reading["kept"], reading["status"]) == (True, "cannot_tell_yet")
    assert reading["target"]["words"] == "at most 25.0 %"
    olga = Client()
    olga.force_login(told.olga)
    page = olga.get("/acme/capabilities/network/", PERIOD).content.decode()
    assert "Kept: the target is at most 25.0 %; too few to promise the same next time." in page
    pooled = get(told, metric="reopen_rate", **PERIOD).json()
    assert (pooled["target"], pooled["kept"], pooled["status"]) == (None, None, None)


def test_how_many_more_answers_would_settle_it_is_said(told: Cast) -> None:
    sheet(told, signed=True, metric="csat_share.share", value="0.80")
    for score in [5] * 32 + [1] * 8:  # ten are satisfied already: 42 of 50
        asked(told, score)
    reading = get(told, metric="csat_share", capability="network", **PERIOD).json()
    assert (reading["value"], reading["status"]) == (0.84, "cannot_tell_yet")
    # 1.96² · 0.8 · 0.2 / 0.04² answers, less the fifty there are
    assert reading["beside"]["answers_to_settle"] == 335
    olga = Client()
    olga.force_login(told.olga)
    page = olga.get("/acme/capabilities/network/", PERIOD).content.decode()
    assert "that proves nothing yet: about 335 more answers would settle it." in page


def test_nothing_is_met_before_a_period_is_over_and_mature(told: Cast) -> None:
    sheet(told, signed=True, metric="sla_attainment.resolution", value="0.50")
    enter(told, *(news(f"P{n}", moved(1, "resolved")) for n in range(30)))
    asked_for = Asked(date(2026, 3, 1), date(2026, 4, 1), "network")

    def at(day: date) -> tuple[str | None, bool | None]:
        moment = datetime.combine(day, time(12), tzinfo=UTC)
        with acting(told.acme.pk):
            found = Answering(Reader(told.acme, as_of=moment))
            reading = found.measure("sla_attainment.resolution", asked_for)
        return reading.status, reading.kept

    assert at(date(2026, 3, 20)) == ("cannot_tell_yet", None)
    assert at(date(2026, 4, 10)) == ("cannot_tell_yet", None), "it may come back for two weeks"
    assert at(date(2026, 4, 20)) == ("met", True)


@pytest.mark.parametrize(
    ("value", "needed", "words"),
    [
        ("0.80", (0.8 * 16 - 11) / 4, "45.0 %"),
        ("0.50", (0.5 * 16 - 11) / 4, "none: the target is kept whatever they think"),
        ("0.95", (0.95 * 16 - 11) / 4, "more than all of them"),
    ],
)
def test_what_the_silent_would_have_to_think_is_told_beside_a_signed_target(
    told: Cast, value: str, needed: float, words: str
) -> None:
    """Of 16 asked 12 answered, 11 of them satisfied."""
    asked(told, 1)
    asked(told, 4)
    for _ in range(4):
        asked(told)
    sheet(told, signed=False, metric="csat_share.share", value=value)
    question = {"metric": "csat_share", "capability": "network", **PERIOD}
    assert "needed_of_the_silent" not in get(told, **question).json()["beside"]
    sheet(told, signed=True, metric="csat_share.share", value=value)
    beside = get(told, **question).json()["beside"]
    assert beside["needed_of_the_silent"] == pytest.approx(needed)
    assert beside["if_the_silent_were_not"] == 11 / 16
    client = Client()
    client.force_login(told.olga)
    assert words in client.get("/acme/capabilities/network/", PERIOD).content.decode()


def test_targets_are_listed_with_digests_and_printed_names_only(told: Cast) -> None:
    sheet(told, signed=True)
    for scope in (Scope.READ_PUBLISHED, Scope.READ_INTERNAL):
        response = caller(told, scope).get(reverse("api_targets"))
        assert response.status_code == 200
        [target] = response.json()
        assert target["metric"] == "reopen_rate.rate"
        assert (target["value"], target["words"]) == ("0.2500", "at most 25.0 %")
        assert target["in_force_from"] == "2026-02-01"
        assert {s["printed_name"] for s in target["signatures"]} == {"Olga", "Sam", "Bea"}
        assert len(target["digest"]) == len(target["sheet_digest"]) == 64
        assert "@" not in response.content.decode()
    assert caller(told, Scope.INGEST_EVENTS).get(reverse("api_targets")).status_code == 403
    refused = caller(told, Scope.READ_PUBLISHED).get(reverse("api_targets"), {"signer": "olga"})
    assert refused.status_code == 400


# --- the command ----------------------------------------------------------------------------------


def test_the_command_tells_one_reading_or_a_list_when_split(told: Cast) -> None:
    whole = command("reopen_rate")
    assert (whole["numerator"], whole["denominator"]) == (2, 12)
    parts = command("reopen_rate", "--split=capability")
    assert [(p["slice"]["capability"], p["denominator"]) for p in parts] == [
        ("accounts", 2),
        ("network", 10),
    ]
    crossed = command("reopen_rate", "--split=capability", "--split=severity", "--split=domain")
    assert len(crossed) == 2 * 4
    assert sum(p["denominator"] for p in crossed) == 12
    with pytest.raises(CommandError, match="never pooled"):
        command("resolution_time")
    assert len(command("resolution_time", "--split=severity")) == 4


def test_the_command_reads_the_past(told: Cast) -> None:
    then = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # opened at 8, all resolved from 10 on
    assert command("backlog", f"--as-of={then.isoformat()}")["value"] == 12
    assert command("backlog")["value"] == 0
    with pytest.raises(CommandError, match="has not come yet"):
        command("backlog", f"--as-of={(timezone.now() + DAY).isoformat()}")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--organisation=nobody", "--metric=backlog"], "no organisation 'nobody'"),
        (["--organisation=acme", "--metric=happiness"], "no metric 'happiness'"),
        (["--organisation=acme", "--metric=backlog", "--where=agent=agnes"], "no condition"),
        (["--organisation=acme", "--metric=backlog", "--where=domain=hr"], "no domain 'hr'"),
        (
            ["--organisation=acme", "--metric=backlog", "--where=domain=it", "--where=domain=hr"],
            "more than once",
        ),
        (["--organisation=acme", "--metric=backlog", "--as-of=2026-03-02"], "with its offset"),
        (["--organisation=acme", "--metric=backlog", "--from=March"], "is no day"),
        (["--organisation=acme", "--metric=backlog", "--until=2026-01-01"], "is empty"),
    ],
)
@pytest.mark.usefixtures("cast")
def test_the_command_says_what_it_cannot_read(arguments: list[str], word: str) -> None:
    line = ["--from=2026-03-01", "--until=2026-04-01", *arguments]  # the last one said counts
    with roles.as_role(roles.WORKER), pytest.raises(CommandError, match=word):
        call_command("read", *line)
