"""A test's own database goes, whoever is still on it."""

from __future__ import annotations

import psycopg
import pytest

from tests import databases


@pytest.mark.parametrize("role", ["owner", "web", "worker", "test"])
def test_a_database_is_dropped_under_a_session_of_any_role(role: str) -> None:
    """A process killed a moment ago may still have one."""
    name = f"dropped_under_{role}"
    databases.drop(name)
    databases.create(name)
    with psycopg.connect(databases.url(role, name), autocommit=True) as left:
        databases.drop(name)
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
