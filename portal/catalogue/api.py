"""The REST endpoint of the catalogue: what is served, by which domain, self-service or not."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView

from portal.catalogue.models import Capability
from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.rest import Pages, TrueOrFalse


class CapabilityFilters(filters.FilterSet):
    """Filters of the capability list."""

    domain = filters.CharFilter("domain__key", label="key of the domain")
    self_service = TrueOrFalse()

    class Meta:
        model = Capability
        fields = ("domain", "self_service")


class CapabilityOut(serializers.ModelSerializer[Capability]):
    """A capability as the API tells it."""

    domain = serializers.SlugRelatedField[Any](slug_field="key", read_only=True)

    class Meta:
        model = Capability
        fields = ("slug", "name", "description", "domain", "self_service")
        read_only_fields = fields


class CapabilityPages(Pages):
    """By name within the domain."""

    ordering = ("domain__key", "slug")


class _Capabilities(Endpoint):
    scopes = {"GET": (Scope.READ_PUBLISHED, Scope.READ_INTERNAL)}
    serializer_class = CapabilityOut

    def get_queryset(self) -> QuerySet[Capability]:
        """Capabilities of the key's organisation."""
        if getattr(self, "swagger_fake_view", False):
            return Capability.objects.none()
        return Capability.objects.for_tenant(self.organisation).select_related("domain")


class CapabilityList(_Capabilities, ListAPIView):  # type: ignore[type-arg,misc]
    """List the capabilities of the catalogue."""

    filterset_class = CapabilityFilters
    pagination_class = CapabilityPages


class CapabilityDetail(_Capabilities, RetrieveAPIView):  # type: ignore[type-arg,misc]
    """Show one capability."""

    lookup_field = "slug"
    filter_backends = ()
