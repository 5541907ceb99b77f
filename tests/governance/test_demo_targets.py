"""The demo's targets are signed by the product's own acts: IT's are in force, HR's still wait."""

from __future__ import annotations

from datetime import UTC, datetime

from governance.targets import Status, lives
from governance.verifying import faults
from portal.demo import world
from portal.demo.signed import sign_targets
from portal.management.commands.load_demo import first_monday
from portal.tenancy.context import acting
from tests.roles import OWNER, as_role

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_the_demo_shows_a_sheet_in_force_and_one_that_waits(db: None) -> None:
    with as_role(OWNER):
        start = first_monday(NOW)
        northwind = world.build(starts_at=start, campaign_from=start)
        with acting(northwind.pk):
            sign_targets(organisation=northwind, now=NOW)
            found = {life.sheet.domain.key: life.status(NOW.date()) for life in lives(northwind)}
            assert found == {"it": Status.ACTIVE, "hr": Status.PROPOSED}
            assert list(faults(northwind)) == []
