"""What tickets can be filtered by, field by field."""

from __future__ import annotations

from datetime import datetime

from django import forms
from django_filters import rest_framework as filters

from portal.catalogue.severity import SEVERITY_CHOICES
from tickets.canonical import State
from tickets.connectors.base import Unusable
from tickets.connectors.generic import instant
from tickets.models import Ticket


class InstantField(forms.CharField):
    """An instant with its offset; without one it could be anywhere."""

    def to_python(self, value: object) -> datetime | None:  # type: ignore[override]
        text = super().to_python(value)
        if not text:
            return None
        try:
            return instant(text)
        except Unusable as unusable:
            raise forms.ValidationError(unusable.errors[0]["reason"]) from None


class InstantFilter(filters.IsoDateTimeFilter):
    """Filters by an instant as RFC 3339 writes it."""

    field_class = InstantField


class TicketFilters(filters.FilterSet):
    """Filters of the ticket list."""

    source = filters.CharFilter("connection__name", label="name of the source")
    capability = filters.CharFilter("capability__slug", label="slug of the capability")
    severity = filters.ChoiceFilter(choices=SEVERITY_CHOICES)
    state = filters.ChoiceFilter(choices=[(state.value, state.value) for state in State])
    opened_from = InstantFilter("opened_at", "gte", label="opened at or after")
    opened_until = InstantFilter("opened_at", "lt", label="opened before")

    class Meta:
        model = Ticket
        fields = ("source", "capability", "severity", "state", "opened_from", "opened_until")
