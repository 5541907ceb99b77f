"""A sheet as Olga proposes it, and the instants and days around it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from governance.models import TargetSheet
from governance.targets import Wanted, propose
from tests.factories import Cast

AT = datetime(2026, 3, 10, 9, tzinfo=UTC)
BEGINS, ENDS = date(2026, 4, 1), date(2027, 4, 1)
KEY = "first_meaningful_response.attainment"


def propose_sheet(cast: Cast, **changes: Any) -> TargetSheet:
    """One target of IT: at least 90 % of first meaningful responses in time."""
    wanted = {
        "tenant": cast.acme,
        "domain": cast.it,
        "wanted": [Wanted(KEY, Decimal("0.90"))],
        "effective_from": BEGINS,
        "effective_until": ENDS,
        "rationale": "People wait too long for a first useful word.",
        "by": cast.olga,
        "at": AT,
        "reauthenticated_at": AT - timedelta(minutes=1),
    }
    return propose(**{**wanted, **changes})
