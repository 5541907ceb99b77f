"""One effect for one `Idempotency-Key`: the answer is stored with the work and told again.

TRUST.md C6, after the IETF's draft. The row is written in the transaction of the work, so either
both exist or neither; while a call works it holds a lock that a second one with the same key does
not wait for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal.people.api_authentication import KeyHolder
from portal.people.models import KeptAnswer

HEADER = "Idempotency-Key"
#: How long an answer is told again; after that the key is as good as new.
KEPT = timedelta(hours=24)
LONGEST = 255
#: Old answers that one call removes at most.
_FORGET = 100


class InFlight(exceptions.APIException):
    """A call with this key is still at work."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "A call with this Idempotency-Key is still at work. Nothing was done."
    default_code = "in_flight"


class OtherCall(exceptions.APIException):
    """The key was used for another call."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = (
        "This Idempotency-Key came before with another method, address or body. Nothing was done;"
        " another call needs a key of its own."
    )
    default_code = "other_call"


def key_in(request: Request, *, required: bool) -> str | None:
    """The call's key, None where there is none. Raises ValidationError: missing or not usable."""
    given = request.headers.get(HEADER)
    if given is None:
        if required:
            raise exceptions.ValidationError(
                {HEADER: ["This call needs one: any text that no other call has, a UUID say."]}
            )
        return None
    # The draft writes it as a quoted string; most clients send it bare.
    key = given.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= LONGEST or not (key.isascii() and key.isprintable()):
        raise exceptions.ValidationError(
            {HEADER: [f"It needs 1 to {LONGEST} printable ASCII characters."]}
        )
    return key


def once(
    key: str, request: Request, holder: KeyHolder, act: Callable[[], Response], *, at: datetime
) -> HttpResponse:
    """The answer of `act`, which runs once for the key within a day; after that the stored bytes.

    Raises InFlight and OtherCall. What `act` raises is stored nowhere: it may be tried again.
    """
    key_digest = hashlib.sha256(key.encode()).digest()
    _hold(holder, key_digest)
    call_digest = _digest_of(request)
    answers = KeptAnswer.objects.for_tenant(holder.organisation.pk).filter(api_key=holder.key)
    _forget(answers, before=at - KEPT)
    kept = answers.filter(key_digest=key_digest).first()
    if kept is not None:
        if bytes(kept.call_digest) != call_digest:
            raise OtherCall
        return _answer(kept.status, bytes(kept.body))
    response = act()
    body = b"" if response.data is None else JSONRenderer().render(response.data)
    KeptAnswer.objects.create(
        tenant_id=holder.organisation.pk,
        api_key=holder.key,
        key_digest=key_digest,
        call_digest=call_digest,
        answered_at=at,
        status=response.status_code,
        body=body,
    )
    return _answer(response.status_code, body)


def _forget(answers: QuerySet[KeptAnswer], *, before: datetime) -> None:
    """Remove some answers that are older; those that another call removes now are left to it."""
    old = answers.filter(answered_at__lte=before).select_for_update(skip_locked=True, of=("self",))
    if ids := list(old.values_list("pk", flat=True)[:_FORGET]):
        answers.filter(pk__in=ids).delete()


def _answer(code: int, body: bytes) -> HttpResponse:
    return HttpResponse(body, status=code, content_type="application/json")


def _hold(holder: KeyHolder, key_digest: bytes) -> None:
    """Hold the key until the transaction ends. Raises InFlight where somebody holds it already."""
    name = f"idempotency {holder.organisation.pk} {holder.key.pk} {key_digest.hex()}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        [held] = cursor.fetchone()
    if not held:
        raise InFlight


def _digest_of(request: Request) -> bytes:
    """What makes a call the same: blanks and the order of names in its body do not."""
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    said = "\n".join((str(request.method), request.get_full_path(), body))
    return hashlib.sha256(said.encode()).digest()
