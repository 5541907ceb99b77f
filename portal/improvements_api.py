"""The REST endpoints of improvement actions: what was recorded, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from governance.effects import Pair, Told, read_for, told
from governance.improvements import corrected_by, recorded_late
from governance.models import ImprovementAction
from metrics.improving import Effect
from metrics.measure import Reader, Reading
from portal.catalogue.models import Capability
from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.readings_api import IntervalOut, ReadingOut
from portal.rest import refuse_unknown


class ActionOut(serializers.Serializer[Any]):
    """An action as it was recorded; never by whom. Shares 0 to 1, days local."""

    id = serializers.IntegerField()
    capability = serializers.CharField()
    metric = serializers.CharField()
    words = serializers.CharField()
    acts_on = serializers.DateField()
    transition_days = serializers.IntegerField()
    days_before = serializers.IntegerField()
    days_after = serializers.IntegerField()
    comparison = serializers.CharField(allow_null=True)
    expected = serializers.FloatField()
    recorded_at = serializers.DateTimeField()
    recorded_late = serializers.BooleanField(
        help_text="a correction that was written when the day of acting had come"
    )
    corrects = serializers.IntegerField(allow_null=True)
    corrected_by = serializers.IntegerField(allow_null=True)


class WindowsOut(serializers.Serializer[Any]):
    """A figure in both windows."""

    before = ReadingOut()
    after = ReadingOut(allow_null=True, help_text="null: not begun")


class EffectOut(serializers.Serializer[Any]):
    """What an action did; differences of shares, each with its 95 % interval."""

    verdict = serializers.CharField(help_text=", ".join(effect.value for effect in Effect))
    difference = serializers.FloatField(allow_null=True)
    interval = IntervalOut(allow_null=True)
    shrunk_before = serializers.FloatField(
        allow_null=True, help_text="the share before, drawn to the field's common one"
    )
    expected_drift = serializers.FloatField(
        allow_null=True, help_text="the change that would be expected without doing anything"
    )
    beyond = serializers.FloatField(
        allow_null=True, help_text="the difference minus that of the comparison; null: none"
    )
    beyond_interval = IntervalOut(allow_null=True)
    answers_needed = serializers.IntegerField(allow_null=True, help_text="in each window")


class ActionResultOut(ActionOut):
    """An action with what came of it, in the handbook's order (METRICS.md D5)."""

    told_from = serializers.DateField(help_text="from then on no window changes any more")
    figure = WindowsOut()
    effect = EffectOut(allow_null=True, help_text="null: no verdict; why_not says why")
    why_not = serializers.CharField()
    compared = WindowsOut(allow_null=True)
    guardrails = WindowsOut(many=True)


class ActionQuestion(serializers.Serializer[Any]):
    """Of which service; of all without."""

    capability = serializers.CharField(max_length=80, required=False)


class ImprovementList(Endpoint):
    """Every record of an improvement action, the latest day of acting first."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(
        operation_id="improvements_list",
        parameters=[ActionQuestion],
        responses=ActionOut(many=True),
    )
    def get(self, request: Request) -> Response:
        """List what was recorded, corrected records among it."""
        question = ActionQuestion(data=request.query_params)
        refuse_unknown(request, set(question.fields) | {"format"})
        question.is_valid(raise_exception=True)
        found = self._actions()
        slug = question.validated_data.get("capability")
        if slug is not None:
            if not Capability.objects.for_tenant(self.organisation).filter(slug=slug).exists():
                raise serializers.ValidationError(
                    {"capability": [f"There is no capability {slug!r}."]}
                )
            found = [one for one in found if one.capability.slug == slug]
        corrected = corrected_by(found)
        told_of = [_recorded(one, corrected) for one in found]
        return Response(ActionOut(told_of, many=True).data)

    def _actions(self) -> list[ImprovementAction]:
        found = ImprovementAction.objects.for_tenant(self.organisation)
        return list(found.select_related("capability", "comparison", "tenant"))


class ImprovementDetail(Endpoint):
    """One action with the figures of both windows and the verdict."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(operation_id="improvements_retrieve", responses=ActionResultOut)
    def get(self, request: Request, action: int) -> Response:
        """Read what came of an action as things stand."""
        refuse_unknown(request, {"format"})
        records = ImprovementAction.objects.for_tenant(self.organisation)
        found = (
            records.filter(pk=action).select_related("capability", "comparison", "tenant").first()
        )
        if found is None:
            raise NotFound
        reader = Reader(self.organisation, as_of=timezone.now())
        read_for(reader, [found])
        corrected = corrected_by(records.filter(corrects=found))
        came = told(reader, found)
        return Response(ActionResultOut(_result(found, came, corrected)).data)


def _recorded(action: ImprovementAction, corrected: Mapping[int, int]) -> dict[str, Any]:
    return {
        "id": action.pk,
        "capability": action.capability.slug,
        "metric": action.metric,
        "words": action.words,
        "acts_on": action.acts_on,
        "transition_days": action.transition_days,
        "days_before": action.days_before,
        "days_after": action.days_after,
        "comparison": action.comparison.slug if action.comparison else None,
        "expected": float(action.expected),
        "recorded_at": action.at,
        "recorded_late": recorded_late(action, action.tenant),
        "corrects": action.corrects_id,
        "corrected_by": corrected.get(action.pk),
    }


def _result(action: ImprovementAction, came: Told, corrected: Mapping[int, int]) -> dict[str, Any]:
    mine = action.capability.slug
    other = action.comparison.slug if action.comparison else ""
    return {
        **_recorded(action, corrected),
        "told_from": came.told_from,
        "figure": _windows(came.figure, mine),
        "effect": came.result,
        "why_not": came.why_not,
        "compared": None if came.comparison is None else _windows(came.comparison, other),
        "guardrails": [_windows(one, mine) for one in came.guardrails],
    }


def _windows(pair: Pair, capability: str) -> dict[str, Any]:
    return {
        "before": _told(pair.before, capability),
        "after": None if pair.after is None else _told(pair.after, capability),
    }


def _told(reading: Reading, capability: str) -> dict[str, Any]:
    """The reading with its slice by names, as every endpoint tells it."""
    names = {
        "capability": capability,
        "severity": reading.slice["severity"],
        "domain": None,
        "segment": None,
    }
    return replace(reading, slice=names).to_json()
