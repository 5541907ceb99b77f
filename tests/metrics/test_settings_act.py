"""Settings act where they are read: a changed one changes what is counted, told or asked."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import ProgrammingError, transaction

from metrics.breaks import settings_changes
from metrics.deciding_settings import change_settings
from metrics.definitions import ANSWERS, BY_KEY, FOLD, METRICS
from metrics.measure import Reader, Slice
from metrics.settings import Settings, SettingsRefused
from portal.audit.models import AuditEntry
from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from surveys.asking_rules import answer_window
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    asked,
    commented,
    enter,
    month,
    moved,
    news,
    promise,
    read,
    replied,
    themed,
    used,
)
from tests.portal.test_one_number import browser
from tickets import ingest
from tickets.fold_rules import fold_rules
from tickets.models import FoldVersion, Resolution, WorkItem

NOW = datetime(2026, 4, 20, tzinfo=UTC)
BACK = 10 * 24.0
"""Hours after the opening: a reopen ten days later."""


def change(cast: Cast, **values: float | str) -> None:
    """As the administrator does it, on the web."""
    with acting(cast.acme.pk):
        change_settings(
            tenant=cast.acme, values=values, reason="our desk works so", by=SYSTEM, at=NOW
        )


def fold_again(cast: Cast) -> int:
    with roles.as_role(roles.WORKER):
        return ingest.sweep_refolds(NOW + DAY)


def items(cast: Cast, name: str) -> int:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return WorkItem.objects.filter(ticket__external_id=name).count()


def kinds(cast: Cast) -> list[str]:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return list(Resolution.objects.order_by("at").values_list("reopen_kind", flat=True))


def test_another_reopen_window_folds_every_ticket_again_and_restates(cast: Cast) -> None:
    again = (moved(BACK, "open"), replied(BACK + 1), moved(BACK + 5, "resolved"))
    enter(cast, news("T", moved(1, "resolved"), *again))
    enter(cast, *(news(f"held {n}", moved(1, "resolved")) for n in range(9)))
    assert items(cast, "T") == 1
    assert read(cast, "reopen_rate.rate").numerator == 1
    change(cast, reopen_days=7)
    assert items(cast, "T") == 1  # until a worker has folded it
    assert fold_again(cast) == 10
    assert items(cast, "T") == 2  # what came back after the window is a new item
    told = read(cast, "reopen_rate.rate")
    assert (told.numerator, told.denominator, told.settings_version) == (0, 11, 2)
    assert "were reopened within 7 days" in told.sentence
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        said = AuditEntry.objects.get(act="settings.changed").detail
    assert "every ticket is folded again" in said["restated"]
    assert fold_again(cast) == 0


def test_a_setting_of_charts_folds_nothing(cast: Cast) -> None:
    enter(cast, news("T", moved(1, "resolved")))
    change(cast, chart_run=7, discovery_rate=0.2)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        assert not FoldVersion.objects.exists()
        assert "restated" not in AuditEntry.objects.get(act="settings.changed").detail
    assert fold_again(cast) == 0


def test_the_windows_of_courtesy_and_misclick_act(cast: Cast) -> None:
    thanked = news("thanks", moved(1, "resolved"), moved(5, "open"), moved(25, "resolved"))
    slip = news("slip", moved(1, "resolved"), moved(1 + 8 / 60, "new"), moved(4, "resolved"))
    enter(cast, thanked, slip)
    assert sorted(kinds(cast)) == ["", "courtesy"]  # a misclick's resolution is void
    change(cast, courtesy_hours=12, misclick_minutes=5)
    fold_again(cast)
    assert sorted(kinds(cast)) == ["", "", "counted", "counted"]


def test_the_window_of_repeat_contacts_is_that_of_reopens(cast: Cast) -> None:
    enter(cast, news("first", moved(1, "resolved"), requester="rui"))
    enter(cast, news("again", opened_at=datetime(2026, 3, 22, tzinfo=UTC), requester="rui"))
    assert read(cast, "repeat_contact.rate").numerator == 0
    change(cast, reopen_days=21)
    fold_again(cast)
    assert read(cast, "repeat_contact.rate", as_of=MAY + 9 * DAY).numerator == 1


def test_the_triage_grace_acts(cast: Cast) -> None:
    change(cast, severity_policy="governed")
    milder = (1.5, ingest.EventType.PRIORITY_CHANGED, {"to": "low"})
    enter(cast, news("T", milder, moved(9, "resolved")))

    def severity() -> str:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            return WorkItem.objects.get().severity

    assert severity() == "medium"  # after the grace a downgrade needs approval
    change(cast, triage_minutes=120)
    fold_again(cast)
    assert severity() == "low"


def test_the_severity_policy_is_decided_as_the_windows_are(cast: Cast) -> None:
    """Made milder two hours later, with nobody's approval."""
    enter(
        cast, news("T", (2, ingest.EventType.PRIORITY_CHANGED, {"to": "low"}), moved(9, "resolved"))
    )

    def severities() -> tuple[str, str]:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            return WorkItem.objects.get().severity, Resolution.objects.get().severity

    assert severities() == ("low", "low")  # as the help desk records it
    change(cast, severity_policy="governed")
    assert severities() == ("low", "low")  # until a worker has folded it
    assert fold_again(cast) == 1
    assert severities() == ("medium", "medium")
    with acting(cast.globex.pk):
        assert fold_rules(cast.globex.pk).severity_policy == "recorded"
    change(cast, severity_policy="recorded")
    assert fold_again(cast) == 1
    assert severities() == ("low", "low")
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        there, back = AuditEntry.objects.filter(act="settings.changed").order_by("sequence")
        assert there.detail["changed"] == {"severity_policy": ["recorded", "governed"]}
        assert back.detail["changed"] == {"severity_policy": ["governed", "recorded"]}
        assert "every ticket is folded again" in there.detail["restated"]


def test_a_window_that_cannot_be_is_refused_by_the_act_and_by_the_database(cast: Cast) -> None:
    with pytest.raises(SettingsRefused, match="is not between 7 and 30"):
        Settings().changed({"reopen_days": 2})
    with pytest.raises(SettingsRefused, match="'strict' is none of recorded, governed"):
        Settings().changed({"severity_policy": "strict"})
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        version = FoldVersion.objects.create(
            tenant=cast.acme, reopen=DAY, courtesy=HOUR, misclick=HOUR, triage=HOUR, at=NOW
        )
    with roles.as_role(roles.OWNER), acting(cast.acme.pk), pytest.raises(ProgrammingError):
        with transaction.atomic():
            FoldVersion.objects.filter(pk=version.pk).update(reopen=2 * DAY)
    with acting(cast.globex.pk):
        assert fold_rules(cast.globex.pk).windows.reopen == 14 * DAY


def test_answers_count_as_long_as_was_decided_when_they_were_asked_for(cast: Cast) -> None:
    change(cast, answer_days=10)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert answer_window(cast.acme.pk) == 10 * DAY
    with roles.as_role(roles.WORKER), acting(cast.globex.pk):
        assert answer_window(cast.globex.pk) == 14 * DAY
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        assert BY_KEY["csat_share"].matures_in(reader.settings) == 10
        assert BY_KEY["reopen_rate"].matures_in(reader.settings) == 14
        assert BY_KEY["escalation_rate"].matures_in(reader.settings) == 0


def test_fewer_answers_than_decided_are_not_shown(cast: Cast) -> None:
    for _ in range(6):
        asked(cast, 5)
    assert read(cast, "csat_share.share").numerator == 6
    change(cast, suppressed_below=8)
    told = read(cast, "csat_share.share")
    assert (told.numerator, told.reliability_state) == (None, "suppressed")
    assert "fewer than 8 answers" in told.sentence
    with pytest.raises(SettingsRefused, match="is not between 5 and 30"):
        Settings().changed({"suppressed_below": 4})


def test_a_theme_of_fewer_comments_than_the_settings_tell_is_hidden(cast: Cast) -> None:
    for n in range(14):
        commented(cast, 1, "the vpn" if n < 6 else "the printer")
    for _ in range(12):
        commented(cast, 5, "the line")
    for phrase in ("vpn", "printer", "line"):
        themed(cast, phrase)

    def told(view: str) -> list[str]:
        return sorted(read(cast, f"comment_themes.{view}", capability=cast.network).beside)

    assert told("share") == ["theme: Line", "theme: Printer", "theme: Vpn"]
    change(cast, suppressed_below=7)  # eight comments of the printer would tell the six
    assert told("share") == ["theme: Line"]
    assert told("dissatisfied") == ["dissatisfied: Line"]
    change(cast, suppressed_below=13)
    assert told("share") == told("dissatisfied") == []


def test_the_line_of_self_service_is_told_where_it_is_passed(cast: Cast) -> None:
    """Four of ten should not have needed anybody."""
    flagged = (0.5, ingest.EventType.FLAGGED, {"flag": "routine"})
    other = (0.5, ingest.EventType.FLAGGED, {"flag": "routine", "value": False})
    enter(
        cast,
        *(news(f"T{n}", flagged if n < 4 else other, moved(1, "resolved")) for n in range(10)),
    )
    address = "/acme/capabilities/network/"
    period = {"from": "2026-03-01", "until": "2026-04-01"}
    said = "40.0 % should have been self-service, above the line of 30.0 %"
    assert said in browser(cast).get(address, period).content.decode()
    change(cast, self_service_line=0.5)
    assert "above the line" not in browser(cast).get(address, period).content.decode()


@pytest.mark.parametrize(("rate", "worded"), [(0.10, True), (0.01, False)])
def test_the_rate_of_false_discoveries_decides_what_is_worded(
    cast: Cast, rate: float, worded: bool
) -> None:
    """Twelve of thirty against four of thirty: p is 0.02."""
    again = (moved(48, "open"), replied(49), moved(50, "resolved"))
    for capability, back in (("network", 12), ("accounts", 4)):
        enter(
            cast,
            *(
                news(f"{capability} {n}", moved(2, "resolved"), *(again if n < back else ()),
                     capability=capability)
                for n in range(30)
            ),
        )  # fmt: skip
    change(cast, discovery_rate=rate)
    page = browser(cast).get("/acme/compare/", {"from": "2026-03-01", "until": "2026-04-01"})
    against = page.content.decode().split('id="differences"')[1]
    assert ("<strong>higher</strong>" in against or "<strong>lower</strong>" in against) is worded
    assert f"{rate * 100:.1f} % at most" in against


def test_a_detectors_limit_acts_on_the_page(cast: Cast) -> None:
    enter(cast, *(news(f"T{n}", moved(2, "resolved"), by=f"{n}@acme.example") for n in range(40)))
    period = {"from": "2026-03-01", "until": "2026-04-01"}
    page = browser(cast).get("/acme/detectors/", period).content.decode()
    assert "more than 30 % of clocks at one exact value" in page
    assert page.count("asks for a look") > 0
    change(cast, detect_same_clock=1)
    page = browser(cast).get("/acme/detectors/", period).content.decode()
    assert "more than 100 % of clocks at one exact value" in page
    assert "<strong>asks for a look</strong>" not in page


# --- which settings a figure follows from --------------------------------------------------------

#: How far a value may be trusted, and whether it is shown: none of these changes it.
STANDING = frozenset(
    {"precision", "low_rate", "lowest_rate", "fragile_drop", "fragile_answers"}
    | {"unclassified_replies", "well_classified", "hardly_classified", "suppressed_below"}
)


class Recording:
    """Settings that remember what was asked of them."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(Settings(), name)


def test_a_metric_reads_no_setting_that_it_does_not_name(cast: Cast) -> None:
    promise(cast)
    month(cast)
    used(cast)
    for score in (5, 4, 2, 1, 3, None) * 2:
        asked(cast, score, capability=cast.network)
    read_by: dict[str, set[str]] = {}
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        for metric in METRICS:
            for view in metric.views:
                reader.settings = Recording()  # type: ignore[assignment]
                severity = "medium" if view.per_severity else None
                cut = Slice(MARCH, APRIL, frozenset([cast.network.pk]), severity)
                reader.tell(f"{metric.key}.{view.key}", cut)
                read_by.setdefault(metric.key, set()).update(reader.settings.read)
    # "14 days" in the words is told by the window, whatever the figure is
    words = {"reopen_days"}
    for metric in METRICS:
        undeclared = read_by[metric.key] - STANDING - metric.settings_used - words
        assert not undeclared, f"{metric.key} reads {undeclared}"
    assert "many_turns" in read_by["requester_returns"]  # the recorder does record


def test_what_a_metric_names_are_settings() -> None:
    known = {one.name for one in fields(Settings)}
    for metric in METRICS:
        assert metric.settings_used <= known
        if metric.maturity_days:
            assert metric.settings_used & (ANSWERS | FOLD)


def test_a_version_knows_what_it_changed_even_where_settings_were_added_since(cast: Cast) -> None:
    change(cast, chart_run=7)
    change(cast, chart_run=7, reopen_days=10)
    with acting(cast.acme.pk):
        told = settings_changes(cast.acme)
    assert [one.changed for one in told] == [{"chart_run"}, {"reopen_days"}]
    assert told[0].broken.day == date(2026, 4, 20)
