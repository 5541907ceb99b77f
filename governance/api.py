"""The REST endpoint of targets: what was promised, by whose signatures, and how it stands."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from governance.comparing import Standing, standings
from governance.models import PilotDecision, SurveyPilot
from governance.pilots import Shown, closing, pilots_of, shown
from governance.suggestions import Benchmark, NotSuggestable, Wish, suggested
from governance.targets import Status
from metrics.comparing import Side
from metrics.definitions import find
from metrics.measure import Reader
from metrics.piloting import Verdict
from metrics.suggesting import STEPS, Source
from portal.catalogue.models import Capability
from portal.catalogue.severity import SEVERITY_CHOICES
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


class SuggestionQuestion(serializers.Serializer[Any]):
    """For which figure of which service; a benchmark has a source, a date and a maturity."""

    capability = serializers.CharField(max_length=80)
    metric = serializers.CharField(max_length=100)
    severity = serializers.ChoiceField(choices=SEVERITY_CHOICES, required=False)
    maturity = serializers.IntegerField(required=False, min_value=1, max_value=len(STEPS))
    benchmark = serializers.FloatField(required=False, min_value=0, max_value=1)
    benchmark_source = serializers.CharField(required=False, max_length=200)
    benchmark_date = serializers.DateField(required=False)

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        """A benchmark comes with all that it needs, or not at all."""
        needed = {"benchmark", "benchmark_source", "benchmark_date", "maturity"}
        absent = sorted(needed - said.keys())
        if absent and "benchmark" in said:
            raise serializers.ValidationError(
                {name: ["A benchmark needs this."] for name in absent}
            )
        return said


class SuggestionPeriodOut(serializers.Serializer[Any]):
    """One complete month of the baseline."""

    period = serializers.CharField()
    counted = serializers.IntegerField()
    of = serializers.IntegerField()


class SuggestionOut(serializers.Serializer[Any]):
    """A suggested target with every input (METRICS.md D8); shares 0 to 1."""

    capability = serializers.CharField()
    metric = serializers.CharField()
    severity = serializers.CharField(allow_null=True)
    suggested = serializers.FloatField(allow_null=True, help_text="null: why_not says why")
    source = serializers.CharField(  # type: ignore[assignment]
        allow_null=True, help_text=", ".join(source.value for source in Source)
    )
    before_rounding = serializers.FloatField(allow_null=True)
    hold = serializers.BooleanField(allow_null=True)
    needs_process_change = serializers.BooleanField(
        allow_null=True, help_text="null: no natural limit is known"
    )
    cannot_be_judged_monthly = serializers.BooleanField(allow_null=True)
    answers_needed = serializers.IntegerField(allow_null=True)
    months_needed = serializers.IntegerField(allow_null=True)
    baseline = serializers.FloatField(allow_null=True)
    periods = SuggestionPeriodOut(many=True)
    answers_a_month = serializers.IntegerField()
    natural_limit = serializers.FloatField(allow_null=True)
    maturity = serializers.IntegerField(allow_null=True)
    benchmark = serializers.FloatField(allow_null=True)
    benchmark_source = serializers.CharField(allow_null=True)
    benchmark_date = serializers.DateField(allow_null=True)
    services_compared = serializers.IntegerField()
    why_not = serializers.CharField()


class TargetSuggestion(Endpoint):
    """What target would be realistic for a figure of a service."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(
        operation_id="targets_suggestion", parameters=[SuggestionQuestion], responses=SuggestionOut
    )
    def get(self, request: Request) -> Response:
        """Suggest a target; the process owner decides."""
        question = SuggestionQuestion(data=request.query_params)
        refuse_unknown(request, set(question.fields) | {"format"})
        question.is_valid(raise_exception=True)
        said = question.validated_data
        served = Capability.objects.for_tenant(self.organisation).filter(slug=said["capability"])
        capability = served.first()
        if capability is None:
            raise serializers.ValidationError(
                {"capability": [f"There is no capability {said['capability']!r}."]}
            )
        benchmark = (
            Benchmark(said["benchmark"], said["benchmark_source"], said["benchmark_date"])
            if "benchmark" in said
            else None
        )
        wish = Wish(said["metric"], said.get("severity", ""), benchmark, said.get("maturity"))
        reader = Reader(self.organisation, as_of=timezone.now())
        try:
            (found,) = suggested(reader, capability, [wish])
        except NotSuggestable as error:
            raise serializers.ValidationError({"metric": [str(error)]}) from error
        return Response(SuggestionOut(found.inputs()).data)


class PilotDecisionOut(serializers.Serializer[Any]):
    """What was decided, in which role and why."""

    round = serializers.IntegerField()
    kind = serializers.CharField(help_text=", ".join(PilotDecision.Kind.values))
    reason = serializers.CharField()
    role = serializers.CharField()
    at = serializers.DateTimeField()


class PilotOut(serializers.Serializer[Any]):
    """A survey on trial, as it was begun and decided."""

    id = serializers.IntegerField()
    domain = serializers.CharField()
    begins = serializers.DateField()
    interviewed_on = serializers.DateField()
    drivers = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    decisions = PilotDecisionOut(many=True)
    closed = serializers.CharField(allow_null=True, help_text="null: under way")


class PilotSideOut(serializers.Serializer[Any]):
    """Satisfied of answered; null where either side has too few answers to be told."""

    satisfied = serializers.IntegerField(allow_null=True)
    of = serializers.IntegerField(allow_null=True)


class PilotDriverOut(serializers.Serializer[Any]):
    """A driver of the interview, and how many comments mention it; null below five comments."""

    name = serializers.CharField()
    mentioned_in = serializers.IntegerField(allow_null=True)
    comments = serializers.IntegerField(allow_null=True)


class PilotResultOut(PilotOut):
    """A pilot with its evidence (METRICS.md D6); shares 0 to 1."""

    until = serializers.DateField(help_text="not included")
    told_from = serializers.DateField(help_text="from then on the evidence no longer changes")
    extensions = serializers.IntegerField()
    verdict = serializers.CharField(
        allow_null=True,
        help_text=f"{', '.join(verdict.value for verdict in Verdict)}; null: not told yet",
    )
    reasons = serializers.ListField(
        child=serializers.CharField(), help_text="what keeps it from passing"
    )
    held = PilotSideOut()
    reopened = PilotSideOut()
    difference = serializers.FloatField(allow_null=True)
    lower = serializers.FloatField(allow_null=True)
    upper = serializers.FloatField(allow_null=True)
    correlations = serializers.ListField(
        child=serializers.FloatField(allow_null=True), help_text="at lags of 0, 1 and 2 weeks"
    )
    reliability_state = serializers.CharField()
    driver_mentions = PilotDriverOut(many=True)
    unknown = serializers.CharField()


class PilotList(Endpoint):
    """Every survey on trial, the latest first."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(operation_id="pilots_list", responses=PilotOut(many=True))
    def get(self, request: Request) -> Response:
        """List pilots with what was decided."""
        refuse_unknown(request, {"format"})
        found = [_begun(one) for one in pilots_of(self.organisation)]
        return Response(PilotOut(found, many=True).data)


class PilotDetail(Endpoint):
    """One pilot with its evidence."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(operation_id="pilots_retrieve", responses=PilotResultOut)
    def get(self, request: Request, pilot: int) -> Response:
        """Read what a pilot shows as things stand."""
        refuse_unknown(request, {"format"})
        found = pilots_of(self.organisation).filter(pk=pilot).first()
        if found is None:
            raise NotFound
        reader = Reader(self.organisation, as_of=timezone.now())
        told = _evidence(shown(reader, found), int(reader.settings.suppressed_below))
        return Response(PilotResultOut({**_begun(found), **told}).data)


def _begun(pilot: SurveyPilot) -> dict[str, Any]:
    last = closing(pilot)
    return {
        "id": pilot.pk,
        "domain": pilot.domain.key,
        "begins": pilot.begins,
        "interviewed_on": pilot.interviewed_on,
        "drivers": pilot.drivers,
        "decisions": list(pilot.decisions.all()),
        "closed": last.kind if last else None,
    }


def _evidence(found: Shown, smallest: int) -> dict[str, Any]:
    told = min(found.held.n, found.reopened.n) >= smallest
    result = found.result
    interval = result.interval if result and told else None
    return {
        "until": found.days.until,
        "told_from": found.told_from,
        "extensions": found.extensions,
        "verdict": result.verdict.value if result else None,
        "reasons": result.reasons if result else (),
        "held": _side_of(found.held, told),
        "reopened": _side_of(found.reopened, told),
        "difference": result.difference if result and told else None,
        "lower": interval.lower if interval else None,
        "upper": interval.upper if interval else None,
        "correlations": result.correlations if result else (),
        "reliability_state": found.reliability.value,
        "driver_mentions": [
            {
                "name": one.name,
                "mentioned_in": one.comments[0] if one.comments else None,
                "comments": one.comments[1] if one.comments else None,
            }
            for one in found.drivers
        ],
        "unknown": found.unknown,
    }


def _side_of(side: Side, told: bool) -> dict[str, int | None]:
    return {"satisfied": side.x if told else None, "of": side.n if told else None}
