"""Every ticket that differs from the log's own figures is named with its rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.tenancy.context import acting
from tests.factories import Cast
from tests.tickets.exports import LOG, LOG_HEADER, import_log, write_csv
from tickets import explaining
from tickets.explaining import Explanation, Reason
from tickets.models import WorkItem


@pytest.fixture
def log(cast: Cast, worker: None, tmp_path: Path) -> Path:
    path = write_csv(tmp_path / "log.csv", LOG_HEADER, LOG)
    import_log(cast.acme.pk, path)
    return path


def explained(cast: Cast, log: Path) -> Explanation:
    return explaining.explain(tenant_id=cast.acme.pk, source="log", path=log, mapping=None)


def test_each_ticket_differs_by_the_rule_that_made_it_differ(cast: Cast, log: Path) -> None:
    explanation = explained(cast, log)
    assert explanation.unexplained == []
    assert explanation.differing == {
        "T1": [Reason.REPEATED],
        "T2": [Reason.WAITED],
        "T3": [Reason.NEW_ITEM],
        "T4": [Reason.MISCLICK],
        "T5": [Reason.CLOSED_WITHOUT, Reason.SEVERITY],
    }
    assert sum(explanation.counts().values()) == len(explanation.differing)


def test_the_files_own_figures_follow_its_own_definition(cast: Cast, log: Path) -> None:
    theirs = explained(cast, log).theirs
    assert theirs["events"] == len(LOG)
    assert theirs["reopen_events"] == 3
    assert theirs["reopened_incidents_within_14_days"] == 2
    assert theirs["last_state"] == {"Closed": 2, "Resolved": 3, "-100": 1}
    # T1 3 h by its repeated row, T2 4 h, T3 363 h, T4 2.5 h; T5 has no Resolved row.
    [moderate] = theirs["by_priority_event_resolution"]
    assert (moderate["priority"], moderate["n"]) == ("3 - Moderate", 4)
    assert moderate["median_h"] == 3.5


def test_a_difference_without_a_rule_is_unexplained_and_fails_the_command(
    cast: Cast, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--organisation", "acme", "--source", "log", "--explain", str(log)]
    call_command("import_tickets", *arguments)
    assert "0  unexplained" in capsys.readouterr().out
    with acting(cast.acme.pk):
        item = WorkItem.objects.get(ticket__external_id="T1")
        assert item.clock_s is not None
        item.clock_s += 60
        item.save()
    assert explained(cast, log).unexplained == ["T1"]
    with pytest.raises(CommandError, match="without a rule that says why: T1"):
        call_command("import_tickets", *arguments)
