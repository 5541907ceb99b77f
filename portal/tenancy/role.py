"""The database role a process runs as: a superuser would ignore row security without a word."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper


class UnsafeDatabaseRole(ImproperlyConfigured):
    """The connection's role would ignore row security."""


_checked: set[str] = set()


def refuse_unsafe_role(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Refuse a connection as superuser or with BYPASSRLS (receiver of `connection_created`).

    Raises UnsafeDatabaseRole; nothing has been read or written then.
    """
    if connection.alias in _checked:
        return  # once a process: a pooled connection is handed out for every request
    with connection.connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        role, unsafe = cursor.fetchone()
    if unsafe:
        connection.close()
        raise UnsafeDatabaseRole(
            f"The database role {role!r} is a superuser or bypasses row security, so organisations"
            " would see each other's rows. Nothing was read. Connect as wellserved_web,"
            " wellserved_worker or wellserved_owner (docs/operations.md, 'Database roles')."
        )
    _checked.add(connection.alias)
