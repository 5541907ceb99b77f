"""Roles of accounts, corrected by hand: what a person here says outweighs what a help desk says.

Pages may not read whose tickets an account acted on, so a correction leaves a note, and a worker
lets those tickets be folded again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from portal.audit.trail import Actor
from portal.tenancy import due
from portal.tenancy.context import acting
from portal.tenancy.hints import hint
from tickets.accounts import tickets_by_unknown
from tickets.canonical import ActorKind
from tickets.lens import Lens, RoleSpan
from tickets.models import AccountRole, Connection
from tickets.recording import record_of
from tickets.refolding import refold_connection, refold_tickets

#: The kind of `Due` row that leads a worker to roles that were corrected.
ROLES = "roles"
#: "Always" as an instant: before anything a help desk tells of.
EVER = datetime(2000, 1, 1, tzinfo=UTC)
#: What an account can be said to be.
CHOICES = tuple(kind for kind in ActorKind if kind is not ActorKind.UNKNOWN)


class NotCorrectable(ValueError):
    """The correction cannot be used; the message says why, and nothing was changed."""


@transaction.atomic
def correct(
    *,
    connection: Connection,
    external_id: str,
    role: str,
    since: datetime,
    by: Actor,
    at: datetime,
) -> AccountRole:
    """Say what an account is from an instant on. Raises NotCorrectable."""
    name = external_id.strip()
    if not name or len(name) > 200:
        raise NotCorrectable("Name the account as the help desk does, in at most 200 characters.")
    if role not in CHOICES:
        raise NotCorrectable(f"Choose a role among {', '.join(CHOICES)}.")
    if since > at:
        raise NotCorrectable("Nobody is something from a day on that has not come yet.")
    told = _of(connection).filter(external_id=name).exclude(name="").first()
    corrected, _ = AccountRole.objects.update_or_create(
        tenant_id=connection.tenant_id,
        connection=connection,
        external_id=name,
        since=since,
        by_hand=True,
        defaults={"role": role, "name": told.name if told else ""},
    )
    detail = {"account": name, "role": role, "since": since.isoformat()}
    record_of(connection, "account_role.corrected", by, at, detail)
    due.note(connection.tenant_id, ROLES, at)
    hint("apply_roles")
    return corrected


@transaction.atomic
def withdraw(*, connection: Connection, correction_id: int, by: Actor, at: datetime) -> bool:
    """Take a correction back; False if there is none of that number.

    Whose tickets they are is not known any more then, so every ticket of the source is folded.
    """
    correction = _of(connection).filter(pk=correction_id, by_hand=True).first()
    if correction is None:
        return False
    detail = {
        "account": correction.external_id,
        "role": correction.role,
        "since": correction.since.isoformat(),
    }
    correction.delete()
    record_of(connection, "account_role.withdrawn", by, at, detail)
    refold_connection(connection, at=at)
    return True


def sweep(now: datetime) -> int:
    """Let the tickets of corrected accounts be folded again, as the worker; return how many.

    A note does not say which account it is about: every corrected one is looked at. They are few,
    and folding a ticket twice changes nothing.
    """
    waiting = 0
    for tenant_id in due.tenants_due(ROLES, now):
        lease = due.claim(tenant_id, ROLES, now)
        if lease is None:
            continue  # another worker was faster
        with acting(tenant_id):
            for connection in Connection.objects.for_tenant(tenant_id):
                corrected = _of(connection).filter(by_hand=True)
                names = set(corrected.values_list("external_id", flat=True))
                tickets = tickets_by_unknown(connection, names)
                refold_tickets(connection, tickets, at=now)
                waiting += len(tickets)
        due.settle(tenant_id, ROLES, lease)
    return waiting


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """An account with everything told of its role, the earliest first, and what it is now."""

    external_id: str
    name: str
    now: ActorKind | None
    roles: tuple[AccountRole, ...]


def names_of(
    connection: Connection, *, search: str = "", role: str = ""
) -> QuerySet[AccountRole, str]:
    """External ids of accounts, in order; `role` is one they have or had."""
    found = _of(connection)
    if search:
        found = found.filter(Q(external_id__icontains=search) | Q(name__icontains=search))
    if role:
        found = found.filter(role=role)
    return found.order_by("external_id").values_list("external_id", flat=True).distinct()


def accounts_named(connection: Connection, names: Iterable[str], *, at: datetime) -> list[Account]:
    """These accounts with the history of their roles."""
    wanted = list(names)
    told: dict[str, list[AccountRole]] = defaultdict(list)
    for row in _of(connection).filter(external_id__in=wanted).order_by("since", "by_hand"):
        told[row.external_id].append(row)
    return [
        Account(
            name,
            next((row.name for row in reversed(told[name]) if row.name), ""),
            role_of(told[name], at),
            tuple(told[name]),
        )
        for name in wanted
    ]


def role_of(rows: Sequence[AccountRole], at: datetime) -> ActorKind | None:
    """What an account is at an instant, by the rule of the lens."""
    spans = [RoleSpan(row.since, ActorKind(row.role), row.by_hand) for row in rows]
    return Lens(roles={"": spans}).role_at("", at)


def _of(connection: Connection) -> QuerySet[AccountRole]:
    found: QuerySet[AccountRole] = AccountRole.objects.for_tenant(connection.tenant_id)
    return found.filter(connection=connection)
