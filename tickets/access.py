"""Connecting a source: create it, say where it is and what opens it, pause it, test it.

Every act is one function: lock, check, change, record. The web role can write credentials and
never read them, so a new address needs them entered again (they are sealed to the address).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from portal.audit.trail import Actor
from portal.sealing import seal
from portal.tenancy import due
from portal.tenancy.hints import hint
from tickets.connectors import CONNECTORS, GENERIC, connector_of
from tickets.connectors.base import Asked, Connector
from tickets.fetching import PULL
from tickets.models import Connection, ConnectionCheck, Credential
from tickets.pulling import seal_name
from tickets.recording import record_of
from tickets.refolding import refold_connection
from tickets.source_names import mistake_in


class NotConnectable(ValueError):
    """What was entered cannot be used. `mistakes` holds one sentence by field; "" is the whole."""

    def __init__(self, mistakes: Mapping[str, str]) -> None:
        self.mistakes = dict(mistakes)
        super().__init__(" ".join(mistakes.values()))


@transaction.atomic
def connect(
    *,
    tenant_id: int,
    name: str,
    kind: str,
    base_url: str,
    answers: Mapping[str, str],
    by: Actor,
    at: datetime,
) -> Connection:
    """Create a source. `answers` are by the names its connector asks for.

    Tools that speak our own words are live at once; a help desk lives from its first mapping on.
    Raises NotConnectable.
    """
    connector = CONNECTORS.get(kind)
    if connector is None:
        raise NotConnectable({"kind": f"There is no connector {kind!r}."})
    mistakes: dict[str, str] = {}
    if unfit := mistake_in(name):
        mistakes["name"] = unfit
    elif Connection.objects.for_tenant(tenant_id).filter(name=name).exists():
        mistakes["name"] = f"There is a source {name!r} already."
    address = ""
    if connector.pulls:
        address, wrong = normal_address(base_url)
        mistakes |= {"base_url": wrong} if wrong else {}
    mistakes |= _mistakes(connector.asks, answers)
    if mistakes:
        raise NotConnectable(mistakes)
    connection = Connection.objects.create(
        tenant_id=tenant_id,
        name=name,
        kind=kind,
        base_url=address,
        options=_options(connector, answers),
        created_at=at,
        live_since=at if connector is GENERIC else None,
    )
    _seal_credentials(connection, connector, answers, at)
    record_of(connection, "connection.created", by, at, {"kind": kind, "address": address})
    if connector.pulls:
        ask_for_check(connection=connection, by=by, at=at)
    return connection


@transaction.atomic
def change_access(
    *, connection: Connection, base_url: str, answers: Mapping[str, str], by: Actor, at: datetime
) -> None:
    """Change the address, the options or the credentials of a source.

    Secrets that are left empty stay as they are, all of them, and only while the address stays:
    whoever moves it to another host has to know what opens it (TRUST.md T15). Raises
    NotConnectable.
    """
    connection = _locked(connection)
    connector = connector_of(connection.kind)
    address, wrong = normal_address(base_url) if connector.pulls else ("", "")
    mistakes = {"base_url": wrong} if wrong else {}
    moved = address != connection.base_url
    entered = {ask.name for ask in connector.asks if ask.secret and answers.get(ask.name)}
    if moved or entered:
        mistakes |= _mistakes(connector.asks, answers, again=moved)
    else:
        mistakes |= _mistakes([ask for ask in connector.asks if not ask.secret], answers)
    if mistakes:
        raise NotConnectable(mistakes)
    connection.base_url = address
    before, now = connection.options, {**connection.options, **_options(connector, answers)}
    if before.get(connector.question_option, "") != now.get(connector.question_option, ""):
        refold_connection(connection, at=at)  # its ratings are placed again
    connection.options = now
    connection.trouble, connection.troubles, connection.not_before = "", 0, None
    connection.save(update_fields=["base_url", "options", "trouble", "troubles", "not_before"])
    if moved or entered:
        _seal_credentials(connection, connector, answers, at)
    detail = {"address": address, "moved": moved, "credentials_entered": bool(moved or entered)}
    record_of(connection, "connection.access_changed", by, at, detail)
    if not connector.pulls:
        return
    ask_for_check(connection=connection, by=by, at=at)


@transaction.atomic
def pause(*, connection: Connection, by: Actor, at: datetime) -> None:
    """Stop pulling; hooks are still taken in."""
    _set_paused(_locked(connection), True, by, at)


@transaction.atomic
def resume(*, connection: Connection, by: Actor, at: datetime) -> None:
    """Pull again, from where it stopped."""
    _set_paused(_locked(connection), False, by, at)
    _wake(connection, at)


@transaction.atomic
def ask_for_check(*, connection: Connection, by: Actor, at: datetime) -> ConnectionCheck:
    """Let a worker try address and credentials; asking while one is waiting asks nothing new."""
    connection = _locked(connection)
    waiting: ConnectionCheck | None = checks_of(connection).filter(answered_at=None).first()
    if waiting is not None:
        return waiting
    check = ConnectionCheck.objects.create(
        tenant_id=connection.tenant_id, connection=connection, asked_at=at
    )
    record_of(connection, "connection.check_asked", by, at)
    _wake(connection, at)
    return check


def checks_of(connection: Connection) -> Any:
    """The tests of a connection, the newest first."""
    return ConnectionCheck.objects.for_tenant(connection.tenant_id).filter(connection=connection)


def can_be_changed(connection: Connection) -> bool:
    """Whether there is anything to enter again: files have a mapping instead of a connection."""
    return connection.kind in CONNECTORS


def normal_address(base_url: str) -> tuple[str, str]:
    """The address in its one spelling and what is wrong with it; one of the two is empty."""
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError:
        return "", "This is no address such as https://desk.example.org."
    host = parts.hostname or ""
    if parts.scheme != "https" or not host:
        return "", "An address begins with https:// and a host, such as https://desk.example.org."
    if parts.username or parts.password or parts.query or parts.fragment:
        return "", "An address has no user name, question mark or fragment in it."
    written = f"[{host}]" if ":" in host else host
    address = f"https://{written}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    if len(address) > 300:
        return "", "An address has at most 300 characters."
    return address, ""


# --- steps ---------------------------------------------------------------------------------------


def _locked(connection: Connection) -> Connection:
    return Connection.objects.select_for_update().get(pk=connection.pk, tenant=connection.tenant_id)


def _set_paused(connection: Connection, paused: bool, by: Actor, at: datetime) -> None:
    if connection.paused == paused:
        return
    connection.paused = paused
    connection.save(update_fields=["paused"])
    record_of(connection, "connection.paused" if paused else "connection.resumed", by, at)


def _wake(connection: Connection, at: datetime) -> None:
    due.note(connection.tenant_id, PULL, at)
    hint("pull_help_desks")


def _mistakes(
    asks: tuple[Asked, ...] | list[Asked], answers: Mapping[str, str], *, again: bool = False
) -> dict[str, str]:
    """What is needed and missing, or cannot be used, by name."""
    found = {}
    for ask in asks:
        answer = answers.get(ask.name) or ""
        if answer and (why := ask.mistake(answer)):
            found[ask.name] = why
        elif not answer and ask.required:
            found[ask.name] = (
                "Enter it again: the address changes, and it is not sent elsewhere unseen."
                if again and ask.secret
                else f"{ask.label} is needed."
            )
    return found


def _options(connector: Connector, answers: Mapping[str, str]) -> dict[str, str]:
    return {ask.name: answers.get(ask.name, "") for ask in connector.asks if not ask.secret}


def _seal_credentials(
    connection: Connection, connector: Connector, answers: Mapping[str, str], at: datetime
) -> None:
    entered = {ask.name: answers.get(ask.name, "") for ask in connector.asks if ask.secret}
    if not entered:
        return
    sealed = seal(json.dumps(entered), belongs_to=seal_name(connection))
    stored = Credential.objects.for_tenant(connection.tenant_id).filter(connection=connection)
    if not stored.update(sealed=sealed, changed_at=at):
        Credential.objects.create(
            tenant_id=connection.tenant_id, connection=connection, sealed=sealed, changed_at=at
        )
