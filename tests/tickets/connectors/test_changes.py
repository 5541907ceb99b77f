"""Help desks that are read in the order of changes lose nothing while they change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from tests.tickets.connectors import github, gitlab, zammad
from tests.tickets.connectors.desk import Asked, Desk, Reply, open_http, pulled
from tests.tickets.connectors.entering import NOW
from tickets.connectors import CONNECTORS
from tickets.connectors.changes import in_order_of_change

SIZE = 100
FIRST = datetime(2026, 3, 10, tzinfo=UTC)


@dataclass
class Shifting:
    """A list by last change, served in pages, that changes whenever some record is looked into."""

    module: ModuleType
    #: Seconds behind the first change, by number from 1.
    seconds: list[float]
    #: What changes when a record is looked into: number looked into to number that changes.
    changes: dict[int, int] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        self.rows = {
            number: self.row(number, FIRST + timedelta(seconds=behind))
            for number, behind in enumerate(self.seconds, start=1)
        }

    @property
    def key(self) -> str:
        return self.module.__name__.rpartition(".")[2]

    def row(self, number: int, at: datetime) -> dict[str, Any]:
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self.key == "zammad":
            return zammad.ticket(number, updated_at=stamp)
        name = "number" if self.key == "github" else "iid"
        return {**self.module.WHOLE["issue"], name: number, "updated_at": stamp}

    def listed(self, asked: Asked) -> Reply:
        """A page, as each help desk is asked for it and says that there is another."""
        self.asked += 1
        told = asked.query
        since = told.get("since") or told.get("updated_after")
        since = since or told["query"].partition("[")[2].partition(" ")[0]
        begin, page = datetime.fromisoformat(since), int(told.get("page", "1"))
        live = [r for r in self.rows.values() if datetime.fromisoformat(r["updated_at"]) >= begin]
        live.sort(key=lambda row: row["updated_at"])
        more = len(live) > page * SIZE
        return Reply(
            live[(page - 1) * SIZE : page * SIZE],
            headers={
                "Link": f'<https://desk.example.org{asked.path}?page={page + 1}>; rel="next"'
                if more
                else "",
                "x-next-page": str(page + 1) if more else "",
            },
        )

    def looked_into(self, empty: Any) -> Callable[[Asked], Any]:
        def answer(asked: Asked) -> Any:
            number = int(next(part for part in reversed(asked.path.split("/")) if part.isdigit()))
            if changed := self.changes.pop(number, None):
                self.rows[changed] = self.row(changed, NOW)
            return empty

        return answer

    def desk(self) -> Desk:
        project = "/api/v4/projects/acme%2Fapp"
        return (
            Desk()
            .on("/api/v1/tickets/search", self.listed)
            .on(r"/api/v1/ticket_articles/by_ticket/\d+", self.looked_into([]))
            .on(r"/api/v1/ticket_history/\d+", {"history": []})
            .on("/repos/acme/app/issues", self.listed)
            .on(r"/repos/acme/app/issues/\d+/timeline", self.looked_into([]))
            .on(f"{project}/members/all", [])
            .on(f"{project}/issues", self.listed)
            .on(rf"{project}/issues/\d+/notes", self.looked_into([]))
            .on(rf"{project}/issues/\d+/resource_(state|label)_events", [])
        )

    def pulled(self) -> list[int]:
        """The numbers of a pull, in its order."""
        options = {**getattr(self.module, "OPTIONS", {}), "since": 60}
        connector = CONNECTORS[self.key]
        http = open_http(connector, self.desk(), secrets=self.module.SECRETS, options=options)
        pages, _ = pulled(connector, http, NOW, options=options)
        names = ("ticket", "id"), ("issue", "number"), ("issue", "iid")
        part, name = names[("zammad", "github", "gitlab").index(self.key)]
        return [json.loads(page.raw)[part][name] for page in pages]


MODULES = pytest.mark.parametrize("module", [zammad, github, gitlab])


@MODULES
def test_a_record_that_changes_while_its_page_is_read_pushes_none_over_the_border(
    module: ModuleType,
) -> None:
    told = Shifting(module, [60.0 * n for n in range(250)], {50: 5, 120: 7, 150: 140}).pulled()
    assert set(told) == set(range(1, 251))
    # What changed meanwhile is told again, and nothing else is.
    assert sorted(told) == sorted([*range(1, 251), 5, 7, 140])


@MODULES
def test_more_than_a_page_in_one_instant_is_read_whole(module: ModuleType) -> None:
    at_once = [0.0] * 50 + [600.0] * 270 + [1200.0] * 50
    told = Shifting(module, at_once, {130: 60, 200: 61}).pulled()
    assert sorted(told) == sorted([*range(1, 371), 60, 61])


@MODULES
def test_a_list_of_one_page_is_asked_for_once(module: ModuleType) -> None:
    shifting = Shifting(module, [0.0, 1.0, 2.0])
    assert shifting.pulled() == [1, 2, 3]
    assert shifting.asked == 1


def test_an_index_that_lags_behind_takes_the_window_past_nothing() -> None:
    """The search of Zammad sorts by what it knew; the last row of a page changed since."""
    stamps = [FIRST + timedelta(minutes=n) for n in range(30)]

    def ask(since: datetime, number: int) -> tuple[list[dict[str, Any]], bool]:
        live = [n for n, at in enumerate(stamps) if at >= since]
        page = live[(number - 1) * 10 : number * 10]
        rows = [{"id": n, "updated_at": (NOW if n == 9 else stamps[n]).isoformat()} for n in page]
        return rows, len(live) > number * 10

    assert {row["id"] for row in in_order_of_change(ask, FIRST)} == set(range(30))
