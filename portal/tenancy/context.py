"""The acting context: which organisation, and which person, a transaction works for.

Row security reads two settings, `app.tenant` and `app.person`, that live as long as the
transaction. A query on a tenant table outside a context is refused before it reaches the database
(it would find no rows anyway, which looks like an empty organisation and hides the mistake).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from portal.tenancy.models import TenantOwned


class NoActingTenant(RuntimeError):
    """A tenant table was queried outside `acting()`."""


@contextmanager
def acting(tenant_id: int, *, person_id: int | None = None) -> Iterator[None]:
    """Work for one organisation, and one person if given, inside one transaction.

    Contexts do not nest across organisations: leaving the inner one restores the outer one.
    """
    with transaction.atomic():
        before = current()
        enter(tenant_id, person_id=person_id)
        try:
            yield
        except BaseException:
            # Rolling back takes the settings back; asking a failed transaction would hide why.
            _leave(before)
            raise
        restore(before)


def enter(tenant_id: int, *, person_id: int | None = None) -> None:
    """Set the context for the rest of the running transaction."""
    if not connection.in_atomic_block:
        raise NoActingTenant("The acting context lives in a transaction; none is open.")
    _set(tenant_id, person_id)
    connection.acting = (tenant_id, person_id)  # type: ignore[attr-defined]


def current() -> tuple[int | None, int | None]:
    """The organisation and person this connection works for, None where there is none."""
    return _acting(connection)


def _acting(used: BaseDatabaseWrapper | Any) -> tuple[int | None, int | None]:
    """The context of a connection: it ends with the transaction, whoever forgot to leave it."""
    if not used.in_atomic_block:
        return None, None
    found: tuple[int | None, int | None] = getattr(used, "acting", (None, None))
    return found


def restore(before: tuple[int | None, int | None]) -> None:
    """Go back to an earlier context; a transaction that has ended has reset its own side."""
    _leave(before)
    if connection.in_atomic_block and not connection.needs_rollback:
        _set(*before)


def _leave(before: tuple[int | None, int | None]) -> None:
    connection.acting = before  # type: ignore[attr-defined]
    if before[0] is None:
        waiting: list[Callable[[], None]] = getattr(connection, "on_leaving", [])
        while waiting:
            waiting.pop()()


def on_leaving(act: Callable[[], None]) -> None:
    """Do something once the outermost context of this connection is left, however that happens.

    Raises NoActingTenant where there is none.
    """
    if acting_tenant_id() is None:
        raise NoActingTenant("Nobody acts, so no context will be left.")
    waiting: list[Callable[[], None]] = getattr(connection, "on_leaving", [])
    connection.on_leaving = [*waiting, act]  # type: ignore[attr-defined]


def acting_tenant_id() -> int | None:
    """The organisation this connection works for, or None."""
    return current()[0]


def _set(tenant_id: int | None, person_id: int | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.tenant', %s, true), set_config('app.person', %s, true)",
            [str(tenant_id or ""), str(person_id or "")],
        )


def tenant_tables() -> frozenset[str]:
    """Names of every table whose rows belong to an organisation."""
    return frozenset(
        model._meta.db_table for model in apps.get_models() if issubclass(model, TenantOwned)
    )


def refuse_outside_context(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Execute wrapper: a statement naming a tenant table needs an acting tenant."""
    used: BaseDatabaseWrapper = context["connection"]
    if _acting(used)[0] is None and _names_tenant_table(str(sql)):
        raise NoActingTenant(
            f"A tenant table was queried outside acting(); no rows would be found: {str(sql)[:120]}"
        )
    return execute(sql, params, many, context)


_pattern: re.Pattern[str] | None = None


def _names_tenant_table(sql: str) -> bool:
    global _pattern  # noqa: PLW0603 - built once, when every app is loaded
    if not sql.lstrip()[:6].upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
        return False
    if _pattern is None:
        _pattern = re.compile('"(?:' + "|".join(map(re.escape, tenant_tables())) + ')"')
    return _pattern.search(sql) is not None


def watch(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Install the wrapper on a new connection (receiver of `connection_created`)."""
    if refuse_outside_context not in connection.execute_wrappers:
        connection.execute_wrappers.append(refuse_outside_context)
