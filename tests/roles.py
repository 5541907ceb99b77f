"""Which database role a test's connection acts as: the owner sets up, the web role is tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

OWNER, WEB, WORKER = "wellserved_owner", "wellserved_web", "wellserved_worker"

#: What new connections act as: the owner while the database is created, then the web role.
_new_connections = {"role": OWNER}


def become(role: str) -> None:
    """Let every connection opened from now on act as `role`."""
    _new_connections["role"] = role


def set_role(*, connection: Any, **_: Any) -> None:
    """Receiver of `connection_created`."""
    with connection.connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {_new_connections['role']}")
    if not connection.connection.autocommit:
        connection.connection.commit()


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """Act as another role on the test's connection, then return to the one before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        before = cursor.fetchone()[0]
        cursor.execute(f"SET ROLE {role}")
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute(f"SET ROLE {before}")
