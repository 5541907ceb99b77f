"""The REST endpoint of data quality: what is wrong, on how many tickets, what to do about it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from portal.catalogue.models import Capability
from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.rest import refuse_unknown
from tickets.models import Connection
from tickets.quality import Issue, issues


class ExampleOut(serializers.Serializer[Any]):
    """A ticket that has the flaw."""

    source = serializers.CharField()  # type: ignore[assignment]
    ticket = serializers.CharField()


class DetailOut(serializers.Serializer[Any]):
    """What exactly, in the source's words."""

    detail = serializers.CharField()
    tickets = serializers.IntegerField()


class IssueOut(serializers.Serializer[Any]):
    """A kind of flaw with its consequence for figures and what to do about it."""

    kind = serializers.CharField()
    title = serializers.CharField()
    tickets = serializers.IntegerField()
    consequence = serializers.CharField()
    remedy = serializers.CharField()
    details = DetailOut(many=True)
    examples = ExampleOut(many=True)


class QualityQuestion(serializers.Serializer[Any]):
    """Whose tickets are looked at; without a filter all of them."""

    source = serializers.SlugField(max_length=60, required=False)  # type: ignore[assignment]
    capability = serializers.SlugField(max_length=80, required=False)


class DataQuality(Endpoint):
    """The flaws of the data, the kind on most tickets first."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(
        operation_id="data_quality_list",
        parameters=[QualityQuestion],
        responses=IssueOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """List what is wrong; a capability's list holds tickets that nobody has assigned, too."""
        question = QualityQuestion(data=request.query_params)
        refuse_unknown(request, set(question.fields) | {"format"})
        question.is_valid(raise_exception=True)
        source = question.validated_data.get("source")
        capability = question.validated_data.get("capability")
        capabilities = None
        if source is not None and not _exists(Connection, self.organisation, name=source):
            raise ValidationError({"source": [f"There is no source {source!r}."]})
        if capability is not None:
            named = Capability.objects.for_tenant(self.organisation).filter(slug=capability)
            capabilities = list(named.values_list("pk", flat=True))
            if not capabilities:
                raise ValidationError({"capability": [f"There is no capability {capability!r}."]})
        found = issues(self.organisation.pk, capabilities=capabilities, source=source)
        return Response(IssueOut([_told(issue) for issue in found], many=True).data)


def _exists(model: Any, organisation: Any, **named: str) -> bool:
    return bool(model.objects.for_tenant(organisation).filter(**named).exists())


def _told(issue: Issue) -> dict[str, Any]:
    return {
        "kind": issue.kind.value,
        "title": issue.explanation.title,
        "tickets": issue.tickets,
        "consequence": issue.explanation.consequence,
        "remedy": issue.explanation.remedy,
        "details": [{"detail": d, "tickets": n} for d, n in issue.details],
        "examples": [{"source": e.source, "ticket": e.ticket} for e in issue.examples],
    }
