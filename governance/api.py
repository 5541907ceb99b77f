"""The REST endpoint of targets: what was promised, by whose signatures, and how it stands."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from governance.comparing import Standing, standings
from governance.targets import Status
from metrics.definitions import find
from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.rest import refuse_unknown


class SignatureOut(serializers.Serializer[Any]):
    """A signature as it is printed on the sheet."""

    printed_name = serializers.CharField()
    role = serializers.CharField()
    at = serializers.DateTimeField()


class TargetOut(serializers.Serializer[Any]):
    """A target of a sheet and how it stands today. Digests are SHA-256 in hexadecimal."""

    sheet = serializers.IntegerField()
    position = serializers.IntegerField()
    domain = serializers.CharField()
    metric = serializers.CharField()
    name = serializers.CharField()
    capability = serializers.CharField(
        allow_null=True, help_text="null: each capability of the domain"
    )
    severity = serializers.CharField(allow_null=True)
    value = serializers.CharField(help_text="shares 0 to 1, durations in business seconds")
    words = serializers.CharField()
    status = serializers.CharField(help_text=", ".join(status.value for status in Status))
    in_force_from = serializers.DateField(
        allow_null=True, help_text="null while a signature is missing"
    )
    in_force_until = serializers.DateField(help_text="not included")
    sheet_digest = serializers.CharField()
    digest = serializers.CharField()
    signatures = SignatureOut(many=True)


class TargetList(Endpoint):
    """Every target of every sheet, the newest sheet first."""

    scopes = {"GET": (Scope.READ_PUBLISHED, Scope.READ_INTERNAL)}

    @extend_schema(operation_id="targets_list", responses=TargetOut(many=True))
    def get(self, request: Request) -> Response:
        """List targets with their signatures and how they stand today."""
        refuse_unknown(request, {"format"})
        tenant = self.organisation
        found = standings(tenant, on=timezone.now().astimezone(tenant.zone).date())
        return Response(TargetOut([_told(standing) for standing in found], many=True).data)


def _told(standing: Standing) -> dict[str, Any]:
    target, sheet = standing.target, standing.target.sheet
    _, view = find(target.metric)
    return {
        "sheet": sheet.pk,
        "position": target.position,
        "domain": sheet.domain.key,
        "metric": target.metric,
        "name": view.name,
        "capability": target.capability.slug if target.capability else None,
        "severity": target.severity or None,
        "value": format(target.value, "f"),
        "words": standing.words,
        "status": standing.status.value,
        "in_force_from": standing.begins,
        "in_force_until": standing.ends,
        "sheet_digest": bytes(sheet.digest).hex(),
        "digest": bytes(target.digest).hex(),
        "signatures": [
            {"printed_name": s.printed_name, "role": s.role, "at": s.at}
            for s in sheet.signatures.all()
        ],
    }
