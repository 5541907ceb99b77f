"""Where help desks' webhooks arrive: `/hooks/<secret part>/`.

The address alone opens a connection; a signature says who speaks. What is signed wrongly stores
nothing; what nothing signs is stored as a hint to fetch (tickets/reading.py). Whatever is answered
with a 2xx is stored and queued, in the transaction of the request.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from datetime import datetime

from django.http import HttpRequest, JsonResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from portal.organisations import anybody
from portal.sealing import CannotOpen
from portal.tenancy import context
from portal.tenancy.models import Door
from tickets.connecting import KIND, accepted_secrets, digest_of, has_right_form
from tickets.connectors import connector_of
from tickets.connectors.base import Connector, Delivery, Unusable
from tickets.inbound import CREATED, DeliveryConflict, Receipt, receive
from tickets.models import Connection, InboundMessage
from tickets.reading import where

#: Bytes of a body, looked at before anything else is done with it.
LARGEST = 1024 * 1024
#: How deep JSON may be nested, counted before it is parsed.
DEEPEST = 20

Signature = InboundMessage.Signature

_JSON_PART = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)
#: Headers that open something or sign: never stored, whatever a connector asks for.
_SECRET = re.compile(r"auth|cookie|signature|secret|token|password|key")
_LONGEST_ID, _LONGEST_HEADER = 150, 300

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
@anybody
def hook(request: HttpRequest, part: str) -> JsonResponse:
    """Take in one webhook: 202 for a new one, 200 for one that came before."""
    length = _length(request)
    if length is not None and length > LARGEST:
        return _refused(413, f"A webhook has at most {LARGEST // 1024} KiB. Nothing was stored.")
    connection = _connection(part)
    if connection is None:
        return _refused(404, "There is nothing here.")
    if length is None:
        # A body in chunks would be read as an empty one, and acknowledged.
        return _refused(411, "A webhook says how long it is: Content-Length. Nothing was stored.")
    if length == 0:
        return _refused(400, "The body is empty. Nothing was stored.")
    try:
        raw = request.body
    except UnreadablePostError:
        return _refused(400, "The request ended before its body did. Nothing was stored.")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return _take(connection, headers, raw, timezone.now())


def _take(
    connection: Connection, headers: Mapping[str, str], raw: bytes, at: datetime
) -> JsonResponse:
    """Verify, store, answer."""
    connector = connector_of(connection.kind)
    try:
        signature = _verify(connection, connector, headers, raw, at)
    except CannotOpen as error:
        logger.error("hook of connection %s: %s", connection.pk, error)
        return _refused(503, "The signature cannot be verified now. Nothing was stored.")
    if signature is None:
        answer = _refused(401, "The signature is missing, wrong or too old. Nothing was stored.")
        answer["WWW-Authenticate"] = f'Signature realm="{connection.kind}"'
        return answer
    if too_deep(raw):
        return _refused(400, f"JSON is nested deeper than {DEEPEST} levels. Nothing was stored.")
    try:
        receipt = _store(connection, _delivery(connector, headers, raw), signature, raw, at)
    except Unusable as unusable:
        return _refused(400, f"{unusable}. Nothing was stored.")
    except DeliveryConflict as conflict:
        return _refused(409, str(conflict))
    told = {"message": receipt.message_id, "status": receipt.status}
    return JsonResponse(told, status=202 if receipt.status == CREATED else 200)


def _length(request: HttpRequest) -> int | None:
    """What the request says of its length in bytes; None: nothing that is a length."""
    said = request.META.get("CONTENT_LENGTH") or ""
    return int(said[:20]) if said.isascii() and said.isdecimal() else None


def _connection(part: str) -> Connection | None:
    """Whose address it is; enters the acting context of its organisation."""
    if not has_right_form(part):
        return None
    digest = digest_of(part)
    door = Door.objects.filter(digest=digest, kind=KIND).first()
    if door is None:
        return None
    context.enter(door.tenant_id)
    found = Connection.objects.for_tenant(door.tenant_id).filter(hook_digest=digest).first()
    return found if found is not None and connector_of(found.kind).hooks else None


def _verify(
    connection: Connection,
    connector: Connector,
    headers: Mapping[str, str],
    raw: bytes,
    at: datetime,
) -> str | None:
    """How it is signed; None: not as it should be. Raises CannotOpen."""
    if connector.scheme is None:
        return Signature.UNSIGNED
    accepted = accepted_secrets(connection, at)
    if not accepted:
        return Signature.UNSIGNED  # none was ever set: only hints are taken
    return Signature.VALID if connector.scheme.verify(headers, raw, accepted, at) else None


def _delivery(connector: Connector, headers: Mapping[str, str], raw: bytes) -> Delivery:
    """How the connector keeps it; what it fails at is kept for a person. Raises Unusable."""
    try:
        return connector.delivery(headers, raw)
    except Unusable:
        raise
    except Exception as error:  # noqa: BLE001 - nobody thought of such a body
        # It becomes a dead letter with a reason, not a lost one; the log quotes nothing of it.
        logger.error("a webhook for %s could not be sorted: %s", connector.key, where(error))
        return Delivery("", "hook")


def _store(
    connection: Connection, delivery: Delivery, signature: str, raw: bytes, at: datetime
) -> Receipt:
    """Receive it under its own id. Raises DeliveryConflict where it is signed."""
    digest = hashlib.sha256(raw).hexdigest()
    own = _own_id(delivery.id)

    def kept_as(delivery_id: str) -> Receipt:
        return receive(
            tenant_id=connection.tenant_id,
            connection=connection,
            # Pages that are pulled have ids of ours (tickets/pulling.py): nobody sends such a one.
            delivery_id=f"hook:{delivery_id}",
            topic=delivery.topic,
            raw=raw,
            at=at,
            signature=signature,
            headers=_kept(delivery.headers),
        )

    if signature == Signature.VALID:
        return kept_as(own or digest[:40])
    if not own:
        # The same hint again may be another change of the same ticket: it is asked for again.
        return kept_as(f"{digest[:40]}:{at.timestamp():.6f}")
    try:
        return kept_as(own)
    except DeliveryConflict:  # nothing vouches for the id either
        return kept_as(f"{own}:{digest[:40]}")


def _own_id(said: str) -> str:
    """The sender's id as it can be stored; a long or unprintable one by its SHA-256."""
    if len(said) <= _LONGEST_ID and said.isprintable():
        return said
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The few headers a connector asked for, without what opens or signs anything."""
    return {
        name: "".join(one for one in value if one.isprintable())[:_LONGEST_HEADER]
        for name, value in headers.items()
        if not _SECRET.search(name.lower())
    }


def too_deep(raw: bytes) -> bool:
    """Whether a body, if it is JSON, is nested deeper than `DEEPEST`; nothing is parsed."""
    encoding = json.detect_encoding(raw)
    if encoding != "utf-8":  # as json.loads would read it, a byte order mark taken off
        raw = raw.decode(encoding, "replace").encode()
    if raw.lstrip()[:1] not in (b"{", b"["):
        return False
    depth = 0
    for found in _JSON_PART.finditer(raw):
        first = found[0][:1]
        if first in (b"{", b"["):
            depth += 1
            if depth > DEEPEST:
                return True
        elif first in (b"}", b"]"):
            depth -= 1
    return False


def _refused(status: int, detail: str) -> JsonResponse:
    return JsonResponse(
        {"type": "about:blank", "status": status, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )
