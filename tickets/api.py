"""The REST endpoints of tickets: read what is known, send what happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from portal.catalogue.severity import SEVERITY_CHOICES
from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.rest import ClosedSerializer, Pages
from tickets.canonical import State
from tickets.filtersets import TicketFilters
from tickets.inbound import DeliveryConflict, receive
from tickets.models import Connection, InboundMessage, InboundOutcome, Ticket

_STATES = [(state.value, state.value) for state in State]


class TicketOut(serializers.ModelSerializer[Ticket]):
    """A ticket as the API tells it; nobody who worked on it is named (TRUST.md decision 3)."""

    source = serializers.CharField(source="connection.name")  # type: ignore[assignment]
    capability = serializers.CharField(source="capability.slug", default=None)

    class Meta:
        model = Ticket
        fields = (
            "source",
            "external_id",
            "subject",
            "channel",
            "opened_at",
            "last_event_at",
            "state",
            "severity",
            "capability",
            "group",
            "left_out",
        )
        read_only_fields = fields


class TicketPages(Pages):
    """Newest first."""

    ordering = ("-opened_at", "-id")


class _Tickets(Endpoint):
    serializer_class = TicketOut

    def get_queryset(self) -> QuerySet[Ticket]:
        """Tickets of the key's organisation."""
        if getattr(self, "swagger_fake_view", False):
            return Ticket.objects.none()
        return Ticket.objects.for_tenant(self.organisation).select_related(
            "connection", "capability"
        )


class TicketList(_Tickets, ListAPIView):  # type: ignore[type-arg,misc]
    """List tickets, newest first."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}
    filterset_class = TicketFilters
    pagination_class = TicketPages


class PersonIn(ClosedSerializer):
    """Somebody as the source knows them."""

    id = serializers.CharField(max_length=200)
    email = serializers.EmailField(required=False, allow_blank=True)


class TicketIn(ClosedSerializer):
    """What happened to a ticket: only what changed needs to be said, the first time all of it."""

    id = serializers.CharField(max_length=200, help_text="the sender's id of this message")
    time = serializers.DateTimeField(help_text="when it happened, with its offset")
    subject = serializers.CharField(max_length=500, required=False)
    requester = PersonIn(required=False)
    capability = serializers.SlugField(max_length=80, required=False)
    severity = serializers.ChoiceField(choices=SEVERITY_CHOICES, required=False)
    status = serializers.ChoiceField(choices=_STATES, required=False)
    channel = serializers.CharField(max_length=40, required=False)
    group = serializers.CharField(max_length=150, required=False)
    agent = serializers.CharField(
        max_length=200, required=False, help_text="the agent it is assigned to; kept apart"
    )
    policy_denial = serializers.BooleanField(required=False)
    reply = serializers.CharField(
        max_length=20_000, required=False, help_text="a public reply of the agent"
    )


class AnswerIn(ClosedSerializer):
    """What somebody said about a resolved ticket, collected elsewhere. Never read singly."""

    id = serializers.CharField(max_length=200, help_text="the sender's id of this message")
    time = serializers.DateTimeField(help_text="when it was answered, with its offset")
    source = serializers.SlugField(max_length=60)  # type: ignore[assignment]
    ticket = serializers.CharField(max_length=200)
    score = serializers.IntegerField(min_value=1, max_value=5)
    comment = serializers.CharField(max_length=4000, required=False, allow_blank=True)


class ReceiptOut(serializers.Serializer[Any]):
    """What became of a message at the door; `message` looks it up later."""

    message = serializers.IntegerField()
    status = serializers.ChoiceField(choices=[("created", "created"), ("duplicate", "duplicate")])


class Conflict(APIException):
    """A message id came again with another body."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "A message of this id came before with another body. Nothing was stored."
    default_code = "conflict"


def canonical(body: Mapping[str, Any]) -> bytes:
    """A JSON body's bytes, the same for every spelling: blanks and order make no other message."""
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


class _Sending(Endpoint):
    """Stores a message for the worker; what mapping finds later stands under the message."""

    def _receive(self, source: str, topic: str, body: dict[str, Any]) -> Response:
        connection = get_object_or_404(
            Connection.objects.for_tenant(self.organisation), name=source
        )
        try:
            receipt = receive(
                tenant_id=self.organisation.pk,
                connection=connection,
                delivery_id=body["id"],
                topic=topic,
                raw=canonical(body),
                at=timezone.now(),
            )
        except DeliveryConflict as error:
            raise Conflict(str(error)) from error
        return Response(
            {"message": receipt.message_id, "status": receipt.status},
            status=status.HTTP_202_ACCEPTED if receipt.status == "created" else status.HTTP_200_OK,
        )


class TicketDetail(_Tickets, _Sending, RetrieveAPIView):  # type: ignore[type-arg,misc]
    """One ticket by its source and the source's id."""

    scopes = {
        "GET": (Scope.READ_INTERNAL,),
        "PUT": (Scope.INGEST_EVENTS,),
    }
    filter_backends = ()

    def get_object(self) -> Ticket:
        """The ticket, or 404."""
        return get_object_or_404(
            self.get_queryset(),
            connection__name=self.kwargs["source"],
            external_id=self.kwargs["external_id"],
        )

    @extend_schema(request=TicketIn, responses={200: ReceiptOut, 202: ReceiptOut})
    def put(self, request: Request, source: str, external_id: str) -> Response:
        """Send what happened to a ticket."""
        message = TicketIn(data=request.data)
        message.is_valid(raise_exception=True)
        return self._receive(source, "ticket", {"ticket": external_id, **dict(request.data)})


class AnswerList(_Sending, GenericAPIView):  # type: ignore[type-arg]
    """Answers collected elsewhere; there is no way to read one back."""

    scopes = {"POST": (Scope.INGEST_EVENTS,)}
    serializer_class = AnswerIn
    filter_backends = ()
    pagination_class = None
    queryset = Ticket.objects.none()

    @extend_schema(request=AnswerIn, responses={200: ReceiptOut, 202: ReceiptOut})
    def post(self, request: Request) -> Response:
        """Send an answer about a resolved ticket."""
        message = AnswerIn(data=request.data)
        message.is_valid(raise_exception=True)
        return self._receive(message.validated_data["source"], "answer", dict(request.data))


class MessageOut(serializers.Serializer[Any]):
    """What became of a message."""

    message = serializers.IntegerField()
    received_at = serializers.DateTimeField()
    status = serializers.CharField(help_text="waiting, folded or quarantined")
    errors = serializers.ListField(child=serializers.JSONField())  # type: ignore[assignment]


class MessageDetail(Endpoint):
    """What became of a message that was sent."""

    scopes = {"GET": (Scope.INGEST_EVENTS,)}

    @extend_schema(responses=MessageOut)
    def get(self, request: Request, message: int) -> Response:
        """Look up the status and the errors of a message."""
        found = get_object_or_404(
            InboundMessage.objects.for_tenant(self.organisation).only("id", "received_at"),
            pk=message,
        )
        outcome = InboundOutcome.objects.filter(message_id=found.pk).last()
        return Response(
            {
                "message": found.pk,
                "received_at": found.received_at,
                "status": outcome.status if outcome else "waiting",
                "errors": outcome.errors if outcome else [],
            }
        )
