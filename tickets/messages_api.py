"""The REST endpoints of deliveries: what became of them, and trying a dead letter again."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from portal.audit.trail import Actor
from portal.endpoint import Endpoint
from portal.openapi import problem
from portal.people.roles import Scope
from portal.rest import Pages, holder_of
from tickets.inbound import BodyEmptied
from tickets.models import InboundMessage
from tickets.replaying import replay

STATUSES = [(one, one) for one in ("waiting", "failed", "folded", "quarantined")]


class DeliveryOut(serializers.Serializer[Any]):
    """A delivery and what became of it; its body is never shown."""

    message = serializers.IntegerField(source="pk")
    source = serializers.CharField(source="connection.name")  # type: ignore[assignment]
    id = serializers.CharField(source="delivery_id", help_text="the sender's id")
    received_at = serializers.DateTimeField()
    status = serializers.ChoiceField(choices=STATUSES)
    status_at = serializers.DateTimeField(allow_null=True)
    tries = serializers.IntegerField()
    errors = serializers.ListField(child=serializers.JSONField(), allow_null=True)  # type: ignore[assignment]


class DeliveryFilters(filters.FilterSet):
    """Filters of the deliveries."""

    status = filters.ChoiceFilter(choices=STATUSES, method="in_status", label="what became of it")
    source = filters.CharFilter("connection__name", label="name of the source")

    class Meta:
        model = InboundMessage
        fields = ("status", "source")

    def in_status(self, queryset: Any, name: str, value: str) -> Any:
        """Deliveries of one status."""
        return queryset.in_status(value)


class DeliveryPages(Pages):
    """Latest first."""

    ordering = ("-received_at", "-id")


class DeliveryList(Endpoint, ListAPIView):  # type: ignore[type-arg]
    """List deliveries and what became of them, latest first."""

    scopes = {"GET": (Scope.INGEST_EVENTS, Scope.ADMIN_CONFIG)}
    serializer_class = DeliveryOut
    filterset_class = DeliveryFilters
    pagination_class = DeliveryPages

    def get_queryset(self) -> QuerySet[InboundMessage]:
        """Deliveries of the key's organisation."""
        found = InboundMessage.objects
        if getattr(self, "swagger_fake_view", False):
            return found.none()
        return found.for_tenant(self.organisation).select_related("connection").with_status()


class ReplayOut(serializers.Serializer[Any]):
    """That a delivery waits to be entered."""

    message = serializers.IntegerField()
    status = serializers.ChoiceField(choices=[("waiting", "waiting")])


class Gone(APIException):
    """The bytes of a delivery are kept for a while only."""

    status_code = status.HTTP_410_GONE
    default_detail = "The bytes of this message were emptied after the time they are kept."
    default_code = "gone"


class DeliveryReplay(Endpoint):
    """Enter a delivery again from the bytes that came."""

    scopes = {"POST": (Scope.ADMIN_CONFIG,)}

    @extend_schema(
        request=None,
        responses={200: ReplayOut, 202: ReplayOut, **problem(410, "its bytes are gone")},
    )
    def post(self, request: Request, message: int) -> Response:
        """Queue a dead letter again; one that waits already is left where it is."""
        holder = holder_of(request)
        assert holder is not None, "the scope was asked of a key"
        try:
            queued = replay(
                tenant_id=self.organisation.pk,
                message_id=message,
                by=Actor(f"key:{holder.key.pk}", holder.key.name),
                at=timezone.now(),
            )
        except InboundMessage.DoesNotExist:
            raise NotFound from None
        except BodyEmptied as error:
            raise Gone(str(error)) from error
        return Response(
            {"message": message, "status": "waiting"},
            status=status.HTTP_202_ACCEPTED if queued else status.HTTP_200_OK,
        )
