"""Pulling: a worker asks each help desk what changed, page by page.

A page is stored as a delivery in one transaction with the cursor behind it, then folded like any
other, so a pull that stops anywhere goes on from its last page and loses nothing. Pages that come
again, from the overlap or the nightly reconciliation, are recognised by their bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import Error
from django.db import connection as database

from portal.sealing import CannotOpen, open_sealed
from portal.tenancy import due
from portal.tenancy.context import acting
from tickets.connectors import connector_of
from tickets.connectors.base import READ_BEFORE, Connector, Page, in_known_shape, known_shape
from tickets.connectors.http import LIMITED, Http, HttpTrouble
from tickets.connectors.records import compact
from tickets.fetching import PULL
from tickets.inbound import CREATED, QUARANTINED, Receipt, receive
from tickets.mapping import printable
from tickets.models import (
    Connection,
    ConnectionCheck,
    Credential,
    FetchWork,
    InboundOutcome,
    InboundWork,
)
from tickets.reading import NOT_FETCHED

#: Between two pulls of one connection.
INTERVAL = timedelta(minutes=5)
#: Between two reconciliations, and how far one goes back (lost webhooks, the reopen window).
RECONCILE_EVERY = timedelta(hours=24)
RECONCILE_DAYS = timedelta(days=30)
#: After a failure: doubled each time, up to an hour.
BACK_OFF, LONGEST_BACK_OFF = timedelta(minutes=1), timedelta(hours=1)

#: When to look again at a connection that another worker visits.
ELSEWHERE = timedelta(minutes=1)
#: The key of the advisory lock on a connection, by its id.
LOCK = "hashtextextended('tickets.pulling', %s)"
#: What a help desk says of one ticket, not of us: 401 and 429 are said of whoever asks.
REFUSED = frozenset(range(400, 500)) - {401, 408, LIMITED}
#: Tries at one ticket before it is a dead letter.
TICKET_TRIES = 5

#: The same page with the same cursor behind it, within one pull: the help desk does not go on.
MOST_ALIKE = 3

#: Makes the session for a connection; tests put their own in its place.
OpenHttp = Callable[[Connection], Http]
#: Says what time it is in the middle of a sweep: a pull may take hours.
Running = Callable[[], datetime]

#: Characters of a sentence that are kept.
KEPT = 500

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NotFetched:
    """A ticket that a hint asked for and that could not be fetched."""

    ticket: str
    asked_at: datetime
    #: Tries, this one included.
    tries: int
    trouble: HttpTrouble


def open_http(connection: Connection) -> Http:
    """The session of a connection, with its credentials. Raises HttpTrouble."""
    credential = Credential.objects.for_tenant(connection.tenant_id).filter(connection=connection)
    stored = credential.first()
    secrets: dict[str, str] = {}
    if stored is not None:
        try:
            secrets = json.loads(
                open_sealed(bytes(stored.sealed), belongs_to=seal_name(connection))
            )
        except CannotOpen as error:
            raise HttpTrouble(str(error)) from error
    connector, options = connector_of(connection.kind), connection.options
    plain = {ask.name: str(options.get(ask.name, "")) for ask in connector.asks if not ask.secret}
    http = connector.http(connection.base_url, plain | secrets, options)
    http.reach(settings.HELP_DESK_NETWORKS)
    return http


def seal_name(connection: Connection) -> str:
    """What a connection's credentials are sealed to: moved to another host, they do not open.

    Whoever changes the address has to enter the credentials again (TRUST.md T15).
    """
    return f"credential {connection.tenant_id} {connection.pk} {connection.base_url}"


def sweep(now: datetime, *, opened: OpenHttp = open_http) -> int:
    """Pull every connection that is due, as the worker; return the number of new pages."""
    pages, running = 0, _running(now)
    for tenant_id in due.tenants_due(PULL, now):
        lease = due.claim(tenant_id, PULL, now)
        if lease is None:
            continue  # another worker was faster
        with acting(tenant_id):
            connections = [
                one
                for one in Connection.objects.for_tenant(tenant_id)
                if connector_of(one.kind).pulls
            ]
        next_at = [_visit(one, now, opened, running) for one in connections]
        pages += sum(found for found, _ in next_at)
        due.settle(
            tenant_id, PULL, lease, next_at=min((at for _, at in next_at if at), default=None)
        )
    return pages


def _running(now: datetime) -> Running:
    """The clock of a sweep that began at `now`: what a help desk says counts from when it does."""
    began = monotonic()
    return lambda: now + timedelta(seconds=monotonic() - began)


def _visit(
    connection: Connection, now: datetime, opened: OpenHttp, running: Running
) -> tuple[int, datetime | None]:
    """Visit a connection unless another worker does; return new pages and when to come again."""
    with _alone(connection) as alone:
        if not alone:
            return 0, now + ELSEWHERE
        with acting(connection.tenant_id):
            connection.refresh_from_db()  # whoever was here before us moved its cursor
        return _served(connection, now, opened, running)


@contextmanager
def _alone(connection: Connection) -> Iterator[bool]:
    """Hold a connection as long as it is visited, however long; False: another worker does.

    The lock is the session's, so a worker that dies leaves it.
    """
    with database.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({LOCK})", [connection.pk])
        [(alone,)] = cursor.fetchall()
    try:
        yield alone
    finally:
        if alone:
            with database.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock({LOCK})", [connection.pk])


def _served(
    connection: Connection, now: datetime, opened: OpenHttp, running: Running
) -> tuple[int, datetime | None]:
    """Answer checks, fetch what hints ask for, pull; return new pages and when to come again."""
    connector = connector_of(connection.kind)
    _answer_checks(connection, connector, now, opened)
    if connection.paused:
        return 0, None
    if connection.not_before is not None and connection.not_before > now:
        return 0, connection.not_before
    waits = _next_pull(connection)
    pulls = waits is None or waits <= now
    if not pulls and not _has_asked(connection, now):
        return 0, waits
    pages = 0
    try:
        with _any_trouble(connection), _session(connection, opened) as http:
            fetched, stopped = _fetch_asked(connection, connector, http, now)
            pages += fetched
            if stopped is not None and (not pulls or stopped.trouble.status == LIMITED):
                raise stopped.trouble
            if pulls:
                pages += _pull(connection, connector, http, now)
            if stopped is not None:
                # All else could be read: it was the ticket's own trouble.
                _put_off(connection, stopped, now)
    except HttpTrouble as trouble:
        return pages, _note_trouble(connection, trouble, running())
    if not pulls:
        return pages, waits
    _note_success(connection, now)
    return pages, now + INTERVAL


@contextmanager
def _any_trouble(connection: Connection) -> Iterator[None]:
    """While a help desk is asked: what nobody foresaw is its own trouble and no other's.

    Raises HttpTrouble, and what a database raises that is gone: that is everybody's trouble.
    """
    try:
        yield
    except HttpTrouble:
        raise
    except Exception as error:
        if isinstance(error, Error) and not database.is_usable():
            raise
        logger.exception("connection %s: nobody foresaw this", connection.pk)
        raise HttpTrouble(
            f"Something that nobody foresaw went wrong ({type(error).__name__}); the workers' log"
            " says where. It is tried again later."
        ) from error


@contextmanager
def _session(connection: Connection, opened: OpenHttp) -> Iterator[Http]:
    with acting(connection.tenant_id):
        http = opened(connection)
    try:
        yield http
    finally:
        http.close()


def _next_pull(connection: Connection) -> datetime | None:
    """When the connection may be pulled next; None: at once."""
    if connection.pulled_at is None or connection.troubles:
        return None
    return connection.pulled_at + INTERVAL


def _asked(connection: Connection, now: datetime) -> Any:
    """The tickets that hints ask for and that are due, as a query."""
    return (
        FetchWork.objects.for_tenant(connection.tenant_id)
        .filter(connection=connection, asked_at__lte=now)
        .exclude(due_at__gt=now)
        .order_by("asked_at")
    )


def _has_asked(connection: Connection, now: datetime) -> bool:
    with acting(connection.tenant_id):
        return bool(_asked(connection, now).exists())


def _fetch_asked(
    connection: Connection, connector: Connector, http: Http, now: datetime
) -> tuple[int, NotFetched | None]:
    """Fetch the tickets that hints name; a ticket is taken off with its pages stored.

    One that the help desk refuses is put off and stops no other. Where it is not known whether the
    trouble is the ticket's or the help desk's, fetching stops with what it stopped at.
    """
    with acting(connection.tenant_id):
        asked = list(_asked(connection, now).values_list("external_id", "asked_at", "tries"))
    new = 0
    for ticket, asked_at, tries in asked:
        http.went_on()
        try:
            told = connector.fetch(http, ticket, options=connection.options)
            pages = list(in_known_shape(told))
        except HttpTrouble as trouble:
            failed = NotFetched(ticket, asked_at, tries + 1, trouble)
            if trouble.status not in REFUSED:
                return new, failed
            _put_off(connection, failed, now)
            continue
        with acting(connection.tenant_id):
            new += sum(store_page(connection, page, now) for page in pages)
            _work(connection, ticket).filter(asked_at=asked_at).delete()
    return new, None


def _work(connection: Connection, ticket: str) -> Any:
    works = FetchWork.objects.for_tenant(connection.tenant_id)
    return works.filter(connection=connection, external_id=ticket)


def _put_off(connection: Connection, failed: NotFetched, now: datetime) -> None:
    """Count a try at a ticket, and try it later; after the last it is a dead letter.

    Replayed, a dead letter asks for the ticket again (tickets/reading.py).
    """
    trouble = printable(str(failed.trouble), KEPT)
    logger.warning("connection %s, ticket %s: %s", connection.pk, failed.ticket, trouble)
    with acting(connection.tenant_id):
        work = _work(connection, failed.ticket)
        if failed.tries < TICKET_TRIES:
            later = now + BACK_OFF * 2 ** (failed.tries - 1)
            work.update(tries=failed.tries, due_at=later)
            return
        reason = f"the ticket could not be fetched in {failed.tries} tries: {trouble}"
        _bury(connection, failed.ticket, printable(reason, KEPT), now)
        work.filter(asked_at=failed.asked_at).delete()


def _bury(connection: Connection, ticket: str, reason: str, now: datetime) -> None:
    """Make a ticket that cannot be fetched a dead letter with its reason, one for each ticket."""
    page = Page("fetched", NOT_FETCHED, compact({"ticket": ticket}), {})
    message = _receive(connection, page, now).message_id
    InboundWork.objects.for_tenant(connection.tenant_id).filter(message=message).delete()
    InboundOutcome.objects.create(
        tenant_id=connection.tenant_id,
        message_id=message,
        at=now,
        status=QUARANTINED,
        errors=[{"field": "ticket", "reason": reason}],
    )


def _pull(connection: Connection, connector: Connector, http: Http, now: datetime) -> int:
    new = 0
    told = connector.pull(http, dict(connection.cursor), options=connection.options, now=now)
    for page in _going_on(in_known_shape(told), http):
        with acting(connection.tenant_id):
            new += store_page(connection, page, now)
            connection.cursor = {**connection.cursor, page.stream: dict(page.cursor)}
            connection.save(update_fields=["cursor"])
    last = connection.reconciled_at
    if last is None:
        connection.reconciled_at = now  # the first pull has just read everything
    elif now - last >= RECONCILE_EVERY:
        since = now - RECONCILE_DAYS
        pages = connector.reconcile(http, since=since, options=connection.options, now=now)
        new += _store_all(connection, _going_on(in_known_shape(pages), http), now)
        connection.reconciled_at = now
    return new


def _going_on(pages: Iterable[Page], http: Http) -> Iterator[Page]:
    """Pages, as long as there is an end in sight. Raises HttpTrouble where they turn in a circle.

    Whoever answers every question alike would keep a worker for ever.
    """
    seen: Counter[bytes] = Counter()
    for page in pages:
        place = f"{page.stream} {page.topic} {json.dumps(page.cursor, sort_keys=True)} ".encode()
        digest = hashlib.sha256(place + page.raw).digest()
        seen[digest] += 1
        if seen[digest] == MOST_ALIKE:
            raise HttpTrouble(
                f"{http.base.netloc} tells the same page again and again instead of the next one:"
                " the pull ended there. Is something between it and us that keeps answers?"
            )
        yield page
        http.went_on()


def _store_all(connection: Connection, pages: Iterable[Page], now: datetime) -> int:
    new = 0
    for page in pages:
        with acting(connection.tenant_id):
            new += store_page(connection, page, now)
    return new


def store_page(connection: Connection, page: Page, now: datetime) -> bool:
    """Store a page as a delivery, known by its bytes; say whether it is new."""
    return _receive(connection, page, now).status == CREATED


def _receive(connection: Connection, page: Page, now: datetime) -> Receipt:
    digest, read_at = hashlib.sha256(page.raw).hexdigest()[:40], connection.read_at
    return receive(
        tenant_id=connection.tenant_id,
        connection=connection,
        delivery_id=f"{page.topic}:{digest}",
        topic=page.topic,
        raw=page.raw,
        at=now,
        headers={READ_BEFORE: read_at.isoformat()} if read_at is not None else None,
    )


def _answer_checks(
    connection: Connection, connector: Connector, now: datetime, opened: OpenHttp
) -> None:
    """Make the tests of the connection that somebody asked for."""
    with acting(connection.tenant_id):
        checks = ConnectionCheck.objects.for_tenant(connection.tenant_id).filter(
            connection=connection, answered_at=None
        )
        asked = list(checks.values_list("pk", flat=True))
    if not asked:
        return
    try:
        with _any_trouble(connection), _session(connection, opened) as http, known_shape():
            answer, passed = connector.check(http, options=connection.options), True
    except HttpTrouble as trouble:
        answer, passed = str(trouble), False
    with acting(connection.tenant_id):
        ConnectionCheck.objects.for_tenant(connection.tenant_id).filter(pk__in=asked).update(
            answered_at=now, answer=printable(answer, KEPT), passed=passed
        )


def _note_trouble(connection: Connection, trouble: HttpTrouble, now: datetime) -> datetime:
    """Say what went wrong where people look, and when it is tried again; no hint asks before."""
    said = printable(str(trouble), KEPT)
    logger.warning("connection %s: %s", connection.pk, said)
    wait: timedelta = min(BACK_OFF * 2 ** min(connection.troubles, 10), LONGEST_BACK_OFF)
    if trouble.retry_after is not None:
        wait = max(wait, timedelta(seconds=trouble.retry_after))
    connection.trouble, connection.pulled_at = said, now
    connection.troubles += 1
    connection.not_before = again = now + wait
    with acting(connection.tenant_id):
        connection.save(update_fields=["trouble", "troubles", "pulled_at", "not_before"])
    return again


def _note_success(connection: Connection, now: datetime) -> None:
    connection.trouble, connection.troubles = "", 0
    connection.pulled_at = connection.read_at = now
    connection.not_before = None
    changed = ["trouble", "troubles", "pulled_at", "read_at", "not_before", "reconciled_at"]
    with acting(connection.tenant_id):
        connection.save(update_fields=changed)
