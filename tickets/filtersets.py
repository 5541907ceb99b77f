"""What tickets can be filtered by, field by field."""

from __future__ import annotations

from django_filters import rest_framework as filters

from portal.catalogue.severity import SEVERITY_CHOICES
from tickets.canonical import State
from tickets.models import Ticket


class TicketFilters(filters.FilterSet):
    """Filters of the ticket list."""

    source = filters.CharFilter("connection__name", label="name of the source")
    capability = filters.CharFilter("capability__slug", label="slug of the capability")
    severity = filters.ChoiceFilter(choices=SEVERITY_CHOICES)
    state = filters.ChoiceFilter(choices=[(state.value, state.value) for state in State])
    opened_from = filters.IsoDateTimeFilter("opened_at", "gte", label="opened at or after")
    opened_until = filters.IsoDateTimeFilter("opened_at", "lt", label="opened before")

    class Meta:
        model = Ticket
        fields = ("source", "capability", "severity", "state", "opened_from", "opened_until")
