"""The REST endpoints by which tickets are read; tickets/ingest_api.py has those that tell."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView, get_object_or_404

from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.rest import Pages
from tickets.filtersets import TicketFilters
from tickets.models import Ticket


class TicketOut(serializers.ModelSerializer[Ticket]):
    """A ticket as the API tells it; nobody who worked on it is named (TRUST.md decision 3)."""

    source = serializers.CharField(source="connection.name")  # type: ignore[assignment]
    capability = serializers.CharField(source="capability.slug", default=None, allow_null=True)

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


class TicketDetail(_Tickets, RetrieveAPIView):  # type: ignore[type-arg,misc]
    """One ticket by its source and the source's id."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}
    filter_backends = ()

    def get_object(self) -> Ticket:
        """The ticket, or 404."""
        return get_object_or_404(
            self.get_queryset(),
            connection__name=self.kwargs["source"],
            external_id=self.kwargs["external_id"],
        )
