"""The REST endpoints by which tools tell what happened: events, upserts, and what became of them.

An upsert is an event too (how something stood at `updated_at`), so there is one way in. Whatever
comes is checked against tickets/event_types.py, stored, and acknowledged; workers fold it later.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, Throttled, ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from portal.catalogue.models import Capability
from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.rest import CloudEventBatchParser, CloudEventParser, JsonParser, refuse_unknown
from tickets.connectors import connector_of
from tickets.connectors.base import Context, Unusable
from tickets.connectors.generic import EVENT, MOST, Generic
from tickets.event_types import ENVELOPE, PREFIX, TYPES, VERSION, schema_of
from tickets.inbound import CONFLICT, CREATED, DUPLICATE, Incoming, receive_many
from tickets.models import Connection, InboundMessage, InboundOutcome

REJECTED = "rejected"
STATUSES = (CREATED, DUPLICATE, CONFLICT, REJECTED)
#: Events of one organisation in a minute, whichever tool sends them (TRUST.md E).
MOST_A_MINUTE = 6_000
_MINUTE = timedelta(minutes=1)
#: How long the published schemas may be kept: a type's schema changes with its version only.
_KEPT = "public, max-age=86400"
_SCHEMA_TYPE = "application/schema+json"


class MistakeOut(serializers.Serializer[Any]):
    """One thing that is wrong with an event."""

    field = serializers.CharField(help_text="path of the field, empty for the whole")
    reason = serializers.CharField()


class ResultOut(serializers.Serializer[Any]):
    """What became of one event of a batch."""

    index = serializers.IntegerField(help_text="its place in the batch, from 0")
    id = serializers.CharField(allow_null=True, help_text="the sender's id, where it has one")
    status = serializers.ChoiceField(choices=[(status, status) for status in STATUSES])
    message = serializers.IntegerField(
        allow_null=True, help_text="under which ingest/messages/ tells what became of it"
    )
    errors = MistakeOut(many=True)  # type: ignore[assignment]


class ResultsOut(serializers.Serializer[Any]):
    """What became of each event, in the order of the batch."""

    results = ResultOut(many=True)


#: What OpenAPI says of a body: the envelope; the data of each type has a schema of its own.
_EVENT_BODY = {name: value for name, value in ENVELOPE.items() if name != "$schema"}
_BATCH_BODY = {"type": "array", "items": _EVENT_BODY, "maxItems": MOST}
#: One media type only: clients that are generated from several of them cannot send any.
_EVENT_BODIES = {JsonParser.media_type: _BATCH_BODY}


class ToldOtherwise(APIException):
    """An event that came by itself came before with another body."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class _Telling(Endpoint):
    """Checks events, stores what can be used, and says what became of each."""

    scopes = {"POST": (Scope.INGEST_EVENTS,), "PUT": (Scope.INGEST_EVENTS,)}
    needs_idempotency_key = False

    def _tell(self, bodies: Sequence[Any], at: datetime) -> list[dict[str, Any]]:
        self._within_the_rate(len(bodies), at)
        sources = self._sources()
        slugs = frozenset(
            Capability.objects.for_tenant(self.organisation).values_list("slug", flat=True)
        )
        results: list[dict[str, Any]] = []
        waiting: dict[str, list[tuple[int, Incoming]]] = defaultdict(list)
        for index, body in enumerate(bodies):
            name = body.get("id") if isinstance(body, dict) else None
            results.append(_result(index, name if isinstance(name, str) else None))
            raw = canonical(body)
            try:
                source = _source(body, sources)
                context = Context(options=source.options, received_at=at, capabilities=slugs)
                connector_of(source.kind).tell(EVENT, raw, context)
            except Unusable as unusable:
                results[index] |= {"status": REJECTED, "errors": unusable.errors}
                continue
            waiting[source.name].append((index, Incoming(body["id"], EVENT, raw)))
        for name, some in sorted(waiting.items()):
            receipts = receive_many(
                tenant_id=self.organisation.pk,
                connection=sources[name],
                deliveries=[incoming for _, incoming in some],
                at=at,
            )
            for (index, _), receipt in zip(some, receipts, strict=True):
                results[index] |= {"status": receipt.status, "message": receipt.message_id}
                if receipt.status == CONFLICT:
                    results[index]["errors"] = [{"field": "id", "reason": receipt.reason}]
        return results

    def _sources(self) -> dict[str, Connection]:
        return {one.name: one for one in Connection.objects.for_tenant(self.organisation)}

    def _within_the_rate(self, more: int, at: datetime) -> None:
        """Raise Throttled where the organisation has told its share of this minute.

        Counted in the log of what came, which every web process shares.
        """
        lately = (
            InboundMessage.objects.for_tenant(self.organisation)
            .filter(received_at__gt=at - _MINUTE)
            .aggregate(number=Count("id"), first=Min("received_at"))
        )
        if lately["number"] and lately["number"] + more > MOST_A_MINUTE:
            raise Throttled(wait=(lately["first"] + _MINUTE - at).total_seconds())


def _result(index: int, name: str | None) -> dict[str, Any]:
    return {"index": index, "id": name, "status": REJECTED, "message": None, "errors": []}


def _source(body: Any, sources: Mapping[str, Connection]) -> Connection:
    """The connection an event names. Raises Unusable: none, or one that a help desk tells."""
    name = body.get("source") if isinstance(body, dict) else None
    if not isinstance(name, str):
        # The schema says what is missing; any source will do to be told.
        Generic().tell(EVENT, canonical(body), Context())
        raise Unusable({"field": "source", "reason": "is missing"})
    source = sources.get(name)
    if source is None:
        raise Unusable({"field": "source", "reason": f"there is no connection {name[:60]!r}"})
    if not isinstance(connector_of(source.kind), Generic):
        reason = f"{name!r} is told by its help desk itself; use a connection of kind `api`"
        raise Unusable({"field": "source", "reason": reason})
    return source


def canonical(body: Any) -> bytes:
    """A JSON body's bytes, the same for every spelling: blanks and order make no other message."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


class EventList(_Telling):
    """Events, one or up to 500 at once."""

    scopes = {"POST": (Scope.INGEST_EVENTS,)}
    parser_classes = (JsonParser, CloudEventBatchParser, CloudEventParser)

    @extend_schema(
        operation_id="ingest_events",
        request=_EVENT_BODIES,
        responses=ResultsOut,
    )
    def post(self, request: Request) -> Response:
        """Tell what happened. Each event is answered for itself: one that is refused stops none.

        A single event may come without a list, and both as CloudEvents: as
        application/cloudevents+json and application/cloudevents-batch+json. What came before with
        another body is a `conflict` in a list, and a 409 by itself.
        """
        refuse_unknown(request, {"format"})
        bodies = request.data if isinstance(request.data, list) else [request.data]
        if len(bodies) > MOST:
            raise ValidationError(
                {"events": [f"A batch holds at most {MOST}; this one holds {len(bodies)}."]}
            )
        results = self._tell(bodies, timezone.now())
        if bodies is not request.data and results[0]["status"] == CONFLICT:
            raise ToldOtherwise(f"{results[0]['errors'][0]['reason']}. Nothing was stored.")
        return Response({"results": results})


class _Upserting(_Telling):
    """How one thing stood: the latest word by the sender's own clock stands."""

    scopes = {"PUT": (Scope.INGEST_EVENTS,)}

    def _upsert(self, source: str, type_: str, subject: str, said: Mapping[str, Any]) -> Response:
        """Tell an upsert as an event whose id follows from what it says: again is a duplicate."""
        if source not in (sources := self._sources()):
            raise Http404
        event = {
            "source": sources[source].name,
            "type": f"{PREFIX}{type_}{VERSION}",
            "subject": subject,
            "time": said["updated_at"],
            "data": said["data"],
        }
        if "sequence" in said:
            event["sequence"] = said["sequence"]
        event["id"] = f"upsert {hashlib.sha256(canonical(event)).hexdigest()}"
        [result] = self._tell([event], timezone.now())
        if result["status"] == REJECTED:
            raise ValidationError({one["field"]: [one["reason"]] for one in result["errors"]})
        return Response({"message": result["message"], "status": result["status"]})


def _upsert_body(type_: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """An upsert's body: the data of an event's type beside when it stood so."""
    data = TYPES[f"{PREFIX}{type_}{VERSION}"].data
    required = [name for name in data.get("required", ()) if name not in without]
    more = {name: data[name] for name in ("allOf", "oneOf") if name in data}
    return {
        "type": "object",
        "properties": {
            "updated_at": {
                **ENVELOPE["properties"]["time"],
                "description": "since when it stands so, by your clock: RFC 3339 with its offset",
            },
            "sequence": ENVELOPE["properties"]["sequence"],
            **{name: kind for name, kind in data["properties"].items() if name not in without},
        },
        "required": ["updated_at", *required],
        "additionalProperties": False,
        **more,
    }


class UpsertedOut(serializers.Serializer[Any]):
    """What became of an upsert; `message` looks it up later."""

    message = serializers.IntegerField()
    status = serializers.ChoiceField(choices=[(CREATED, CREATED), (DUPLICATE, DUPLICATE)])


class TicketUpsert(_Upserting):
    """How a ticket stands."""

    @extend_schema(
        operation_id="ingest_ticket_upsert",
        request={JsonParser.media_type: _upsert_body("ticket.snapshot")},
        responses=UpsertedOut,
    )
    def put(self, request: Request, source: str, external_id: str) -> Response:
        """Say how a ticket stands; what is not said is unchanged, an older word changes nothing."""
        refuse_unknown(request, {"format"})
        said = _split(request.data)
        return self._upsert(source, "ticket.snapshot", external_id, said)


#: What a rating's `outcome` is told as.
_OUTCOMES = {
    "responded": "csat.responded",
    "offered": "csat.offered",
    "declined": "csat.declined",
    "expired": "csat.expired",
}


def _rating_body() -> dict[str, Any]:
    body = _upsert_body("csat.responded", without=("rating", "score", "scale"))
    answer = TYPES[f"{PREFIX}csat.responded{VERSION}"].data["properties"]
    body["properties"] |= {
        "ticket": ENVELOPE["properties"]["subject"],
        "outcome": {
            "type": "string",
            "enum": list(_OUTCOMES),
            "description": "responded, with score and scale, unless it says otherwise",
        },
        "score": answer["score"],
        "scale": answer["scale"],
    }
    body["required"] = ["updated_at", "ticket"]
    return body


class RatingUpsert(_Upserting):
    """What somebody said about a ticket, collected elsewhere. Never read singly."""

    @extend_schema(
        operation_id="ingest_csat_upsert",
        request={JsonParser.media_type: _rating_body()},
        responses=UpsertedOut,
    )
    def put(self, request: Request, source: str, external_id: str) -> Response:
        """Say how a survey response stands: offered, declined, expired or its score."""
        refuse_unknown(request, {"format"})
        said = _split(request.data)
        outcome = said["data"].pop("outcome", "responded")
        ticket = said["data"].pop("ticket", None)
        mistakes = {}
        if not isinstance(outcome, str) or outcome not in _OUTCOMES:
            mistakes["outcome"] = [f"Not one of {', '.join(_OUTCOMES)}."]
        if not isinstance(ticket, str):
            mistakes["ticket"] = ["The id of the ticket is missing."]
        if mistakes:
            raise ValidationError(mistakes)
        if "rating" in said["data"]:
            raise ValidationError({"rating": ["The address names it."]})
        said["data"]["rating"] = external_id
        return self._upsert(source, _OUTCOMES[outcome], ticket, said)


def _split(body: Any) -> dict[str, Any]:
    """An upsert's body as when it stood so and what stood. Raises ValidationError."""
    if not isinstance(body, dict):
        raise ValidationError({"body": ["An object is needed."]})
    if "updated_at" not in body:
        raise ValidationError({"updated_at": ["It is missing: since when it stands so."]})
    said = {name: body[name] for name in ("updated_at", "sequence") if name in body}
    return {**said, "data": {name: value for name, value in body.items() if name not in said}}


class MessageOut(serializers.Serializer[Any]):
    """What became of a message."""

    message = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]
    id = serializers.CharField(help_text="the sender's id")
    received_at = serializers.DateTimeField()
    status = serializers.CharField(help_text="waiting, folded, failed, quarantined or replayed")
    errors = MistakeOut(many=True)  # type: ignore[assignment]


class MessageDetail(Endpoint):
    """What became of a message that was sent."""

    scopes = {"GET": (Scope.INGEST_EVENTS,)}

    @extend_schema(operation_id="ingest_message", responses=MessageOut)
    def get(self, request: Request, message: int) -> Response:
        """Look up the status and the errors of a message."""
        refuse_unknown(request, {"format"})
        found = get_object_or_404(
            InboundMessage.objects.for_tenant(self.organisation)
            .only("id", "received_at", "delivery_id", "connection__name")
            .select_related("connection"),
            pk=message,
        )
        outcome = InboundOutcome.objects.filter(message_id=found.pk).last()
        return Response(
            {
                "message": found.pk,
                "source": found.connection.name,
                "id": found.delivery_id,
                "received_at": found.received_at,
                "status": outcome.status if outcome else "waiting",
                "errors": outcome.errors if outcome else [],
            }
        )


class TypeOut(serializers.Serializer[Any]):
    """A type of event and where its schema is."""

    type = serializers.CharField()
    meaning = serializers.CharField()
    dataschema = serializers.URLField()


class TypesOut(serializers.Serializer[Any]):
    """Every type of event, and the JSON Schema of the attributes that all have."""

    envelope = serializers.JSONField()
    types = TypeOut(many=True)


class _Published(Endpoint):
    """Open to anyone: the words of the API, nobody's data."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    def _answer(self, said: Mapping[str, Any]) -> Response:
        return Response(said, headers={"Cache-Control": _KEPT})


class TypeList(_Published):
    """Every type of event that can be told."""

    @extend_schema(operation_id="ingest_schemas", responses=TypesOut)
    def get(self, request: Request) -> Response:
        """List the types of events and the addresses of their schemas."""
        refuse_unknown(request, {"format"})
        types = [
            {"type": one.type, "meaning": one.meaning, "dataschema": _address(one.type)}
            for one in TYPES.values()
        ]
        return self._answer({"envelope": ENVELOPE, "types": types})


class TypeDetail(_Published):
    """The JSON Schema of one type's data."""

    @extend_schema(
        operation_id="ingest_schema",
        responses={(200, _SCHEMA_TYPE): {"type": "object", "additionalProperties": {}}},
    )
    def get(self, request: Request, type_: str) -> Response:
        """Fetch the JSON Schema by which the data of a type is checked."""
        refuse_unknown(request, {"format"})
        if type_ not in TYPES:
            raise Http404
        answer = self._answer(schema_of(TYPES[type_], at=_address(type_)))
        answer.content_type = _SCHEMA_TYPE
        return answer


def _address(type_: str) -> str:
    return f"{settings.PUBLIC_URL}{reverse('api_event_type', args=[type_])}"
