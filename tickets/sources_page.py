"""What the list of sources and a source's own page show: how each stands, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max

from tickets.connectors import connector_of
from tickets.connectors.base import Connector
from tickets.flaws import FlawKind
from tickets.inbound import QUARANTINED
from tickets.models import (
    Connection,
    ImportRun,
    InboundMessage,
    InboundWork,
    MappingVersion,
    Ticket,
    TicketFlaw,
)

_KINDS = {"file": "Imported files"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source stands, as a word with its shape, and what to do about it."""

    words: str
    css: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Import:
    """A run over a file: how far it is and how fast."""

    run: ImportRun
    rows_a_second: float | None

    @property
    def finished(self) -> bool:
        """Whether the whole file was read."""
        return self.run.finished_at is not None

    @property
    def refused(self) -> int | None:
        """Rows that were refused; None until the file is read."""
        refused = self.run.counts.get("rows_refused")
        return None if refused is None else int(refused)


@dataclass(frozen=True, slots=True)
class Source:
    """A source as the list shows it."""

    connection: Connection
    connector: Connector
    kind: str
    standing: Standing
    tickets: int
    last_event_at: datetime | None
    #: Deliveries that wait to be folded, and those that wait for a person.
    waiting: int
    dead: int
    version: int
    unmapped: int
    last_import: Import | None

    @property
    def maps(self) -> bool:
        """Whether its words need a mapping: tools that speak ours only do not."""
        return self.version > 0 or self.unmapped > 0 or maps(self.connection)


def maps(connection: Connection) -> bool:
    """Whether a source's words need a mapping."""
    return connection.live_since is None or connector_of(connection.kind).pulls


def sources(tenant_id: int, *, now: datetime, name: str | None = None) -> list[Source]:
    """Every source, or the one of a name; seven queries, however many there are."""
    connections = Connection.objects.for_tenant(tenant_id)
    if name is not None:
        connections = connections.filter(name=name)
    found = list(connections)
    ids = [connection.pk for connection in found]
    tickets = _tickets(tenant_id, ids)
    waiting = _by_connection(InboundWork.objects.for_tenant(tenant_id).filter(connection__in=ids))
    dead = dead_letters(tenant_id, ids)
    versions = dict(
        MappingVersion.objects.for_tenant(tenant_id)
        .filter(connection__in=ids)
        .order_by()
        .values_list("connection")
        .annotate(Max("number"))
    )
    unmapped = _unmapped(tenant_id, ids)
    runs = last_imports(tenant_id, ids)
    return [
        Source(
            one,
            connector_of(one.kind),
            _KINDS.get(one.kind, connector_of(one.kind).name),
            standing(one),
            *tickets.get(one.pk, (0, None)),
            waiting.get(one.pk, 0),
            dead.get(one.pk, 0),
            versions.get(one.pk, 0),
            unmapped.get(one.pk, 0),
            progress(runs[one.pk], now) if one.pk in runs else None,
        )
        for one in found
    ]


def standing(connection: Connection) -> Standing:
    """How a source stands now."""
    if connection.trouble:
        return Standing("Trouble", "not-met", connection.trouble)
    if connection.live_since is None:
        return Standing(
            "Waits for its mapping",
            "cannot-tell",
            "What it says is kept; nothing is counted until its words are mapped.",
        )
    if connection.paused:
        return Standing("Paused", "proposed", "Nothing is pulled; hooks are still taken in.")
    if connector_of(connection.kind).pulls and connection.pulled_at is None:
        return Standing("Not pulled yet", "cannot-tell", "The first pull begins within a minute.")
    return Standing("Works", "met")


def progress(run: ImportRun, now: datetime) -> Import:
    """How far an import is; the rate is that of the whole run so far."""
    seconds = ((run.finished_at or now) - run.started_at).total_seconds()
    return Import(run, run.rows_done / seconds if seconds >= 1 else None)


def last_imports(tenant_id: int, ids: list[int]) -> dict[int, ImportRun]:
    """The last run of each source."""
    runs = ImportRun.objects.for_tenant(tenant_id).filter(connection__in=ids)
    latest = runs.order_by("connection_id", "-started_at", "-pk").distinct("connection_id")
    return {run.connection_id: run for run in latest}


def dead_letters(tenant_id: int, ids: list[int]) -> dict[int, int]:
    """Deliveries that wait for a person, by source."""
    letters = InboundMessage.objects.for_tenant(tenant_id).filter(connection__in=ids)
    return _by_connection(letters.in_status(QUARANTINED))


def _tickets(tenant_id: int, ids: list[int]) -> Mapping[int, tuple[int, datetime | None]]:
    counted = (
        Ticket.objects.for_tenant(tenant_id)
        .filter(connection__in=ids)
        .order_by()
        .values_list("connection")
        .annotate(Count("pk"), Max("last_event_at"))
    )
    return {pk: (number, last) for pk, number, last in counted}


def _by_connection(rows: Any) -> dict[int, int]:
    return dict(rows.order_by().values_list("connection").annotate(Count("pk")))


def _unmapped(tenant_id: int, ids: list[int]) -> dict[int, int]:
    """Tickets with a word nobody has mapped."""
    kinds = [kind for kind in FlawKind if kind.value.startswith("unmapped_")]
    flaws = TicketFlaw.objects.for_tenant(tenant_id).filter(
        kind__in=kinds, ticket__connection__in=ids
    )
    counted = (
        flaws.order_by()
        .values_list("ticket__connection")
        .annotate(tickets=Count("ticket", distinct=True))
    )
    return dict(counted)
