"""Accounts of a source: the random key behind each, its roles, and who asks for help."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection as database
from django.db.models import Q

from portal.people.models import Person
from tickets.models import AccountRole, AgentAccount, Connection, Requester
from tickets.news import AccountTold
from tickets.same_person import everybody_who_is
from tickets.storing import array

Email = tuple[str, datetime | None]
"""An address and when it was said."""


def ensure_accounts(connection: Connection, names: set[str]) -> dict[str, str]:
    """The random key of each account, given on first sight; an e-mail name links the person."""
    tenant = connection.tenant_id
    accounts = AgentAccount.objects.for_tenant(tenant).filter(connection=connection)
    keys = {
        name: str(key)
        for name, key in accounts.filter(external_id__in=names).values_list(
            "external_id", "actor_key"
        )
    }
    missing = sorted(names - keys.keys())
    people = _people_by_email(tenant, missing)
    made = [
        AgentAccount(
            tenant_id=tenant,
            connection=connection,
            external_id=name,
            actor_key=uuid.uuid4(),
            person_id=people.get(name.lower()),
        )
        for name in missing
    ]
    AgentAccount.objects.bulk_create(made)
    return keys | {account.external_id: str(account.actor_key) for account in made}


def later_email(known: Email, said: Email) -> Email:
    """The address that stands: the one said later; of one instant, the larger."""
    return max((known, said), key=_email_order) if said[0] else known


def _email_order(email: Email) -> tuple[bool, float, str]:
    address, at = email
    return bool(address), at.timestamp() if at else 0.0, address


def ensure_requesters(
    connection: Connection, emails: Mapping[str, Email]
) -> tuple[dict[str, int], set[int]]:
    """The id of each requester; an address that was said later than the known one replaces it.

    And everybody who was, with it, the same as somebody else, or is now.
    """
    tenant = connection.tenant_id
    with database.cursor() as cursor:
        cursor.execute(
            'SELECT external_id, id, email, email_at FROM "tickets_requester"'
            " WHERE tenant_id = %s AND connection_id = %s AND external_id = ANY(%s)",
            [tenant, connection.pk, array(emails)],
        )
        stored = {name: (pk, (email, at)) for name, pk, email, at in cursor.fetchall()}
    missing = sorted(emails.keys() - stored.keys())
    people = _people_by_email(tenant, [emails[name][0] or name for name in missing])
    made = [
        Requester(
            tenant_id=tenant,
            connection=connection,
            external_id=name,
            email=emails[name][0],
            email_at=emails[name][1] if emails[name][0] else None,
            person_id=people.get((emails[name][0] or name).lower()),
        )
        for name in missing
    ]
    Requester.objects.bulk_create(made)
    moved = []
    for name, (pk, known) in stored.items():
        email, at = later_email(known, emails[name])
        if (email, at) != known:
            moved.append(Requester(pk=pk, email=email, email_at=at))
    ids = [one.pk for one in moved]
    were = everybody_who_is(tenant, ids)
    Requester.objects.bulk_update(moved, ["email", "email_at"])
    named = {name: pk for name, (pk, _) in stored.items()}
    named |= {one.external_id: one.pk for one in made}
    return named, {*were, *ids}


def keys_of_requesters(
    connection: Connection, requester_ids: Iterable[int | None]
) -> dict[int, str]:
    """Actor keys of requesters who also act under an account of the same id, by requester id."""
    wanted = {pk for pk in requester_ids if pk is not None}
    if not wanted:
        return {}
    with database.cursor() as cursor:
        cursor.execute(
            'SELECT asker.id, account.actor_key FROM "tickets_requester" asker'
            ' JOIN "tickets_agentaccount" account ON account.tenant_id = asker.tenant_id'
            " AND account.connection_id = asker.connection_id"
            " AND account.external_id = asker.external_id"
            " WHERE asker.tenant_id = %s AND asker.id = ANY(%s)",
            [connection.tenant_id, array(wanted)],
        )
        return {pk: str(key) for pk, key in cursor.fetchall()}


def store_roles(connection: Connection, told: Sequence[AccountTold]) -> list[str]:
    """Keep what was told of accounts; return the external ids about which something is new."""
    if not told:
        return []
    known = AccountRole.objects.for_tenant(connection.tenant_id).filter(
        connection=connection, external_id__in={one.external_id for one in told}, by_hand=False
    )
    seen = {(role.external_id, role.since): role for role in known}
    new: dict[tuple[str, datetime], AccountRole] = {}
    for one in told:
        key = (one.external_id, one.since)
        role = seen.get(key) or new.get(key)
        if role is None:
            new[key] = AccountRole(
                tenant_id=connection.tenant_id,
                connection=connection,
                external_id=one.external_id,
                name=one.name[:200],
                role=one.role.value,
                since=one.since,
            )
    AccountRole.objects.bulk_create(new.values(), ignore_conflicts=True)
    return sorted({external_id for external_id, _ in new})


def tickets_by_unknown(connection: Connection, external_ids: Collection[str]) -> list[int]:
    """Tickets on which these accounts acted in a role that the log does not know."""
    if not external_ids:
        return []
    with database.cursor() as cursor:
        cursor.execute(
            'SELECT DISTINCT event.ticket_id FROM "tickets_ticketevent" event'
            ' JOIN "tickets_agentaccount" account ON account.tenant_id = event.tenant_id'
            " AND account.actor_key = event.actor_key"
            " WHERE event.tenant_id = %s AND event.actor_kind = 'unknown'"
            " AND event.actor_key IS NOT NULL"
            " AND account.connection_id = %s AND account.external_id = ANY(%s)",
            [connection.tenant_id, connection.pk, list(external_ids)],
        )
        return [row[0] for row in cursor.fetchall()]


def _people_by_email(tenant_id: int, names: Iterable[str]) -> dict[str, int]:
    """Members of the organisation whose address is one of the names, by lower-case address."""
    addresses = {name.lower() for name in names if "@" in name}
    if not addresses:
        return {}
    members = Person.objects.filter(
        Q(memberships__tenant_id=tenant_id), email__in=addresses
    ).distinct()
    return {email.lower(): pk for email, pk in members.values_list("email", "pk")}
