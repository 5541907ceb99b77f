"""The REST endpoints of readings: one figure with what must stand beside it, or a table of many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Never

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from metrics.definitions import UnknownMetric, find
from metrics.evaluating import NoSegment, NoSeverity, NotOneFigure, ScalesPooled, SeveritiesPooled
from metrics.measure import Agreeing, Reader
from metrics.packing import TooMuchToRead
from metrics.parts import SEGMENTS
from metrics.standing import Status
from portal.catalogue.severity import SEVERITY_CHOICES
from portal.endpoint import Endpoint
from portal.exporting import FORMATS
from portal.people.roles import Scope
from portal.readings import DIMENSIONS, SPLITS, Answering, Asked, NotAskable, no_segment
from portal.rest import refuse_unknown

#: What the parameter of a segment says of itself.
SEGMENT = (
    "DIMENSION:VALUE, who people were to us at the event: how long users, how often they use the"
    " product, advanced use, and who handled it"
)


class IntervalOut(serializers.Serializer[Any]):
    """A two-sided 95 % interval; null where the data cannot determine a limit."""

    lower = serializers.FloatField(allow_null=True)
    upper = serializers.FloatField(allow_null=True)


class SliceOut(serializers.Serializer[Any]):
    """What the figure is about; null means all."""

    capability = serializers.CharField(allow_null=True)
    severity = serializers.CharField(allow_null=True)
    domain = serializers.CharField(allow_null=True)
    segment = serializers.CharField(allow_null=True)


class PeriodOut(serializers.Serializer[Any]):
    """Local days of the organisation, the last one not included."""

    until = serializers.DateField()

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python, so it cannot be an attribute here."""
        return {"from": serializers.DateField(), **super().get_fields()}


class SoFarOut(serializers.Serializer[Any]):
    """What an open period says at once."""

    numerator = serializers.IntegerField(allow_null=True, help_text="null: of a mean or a score")
    denominator = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True, help_text="the mean or score; null: a share")


class RestsOnOut(serializers.Serializer[Any]):
    """A kind of flaw in the data behind the figure; GET /data-quality/ says what to do about it."""

    kind = serializers.CharField()
    title = serializers.CharField()
    tickets = serializers.IntegerField()
    error_bar = serializers.CharField(
        help_text="by how much times may be off at most, in words; empty: not a flaw of times"
    )


class HintOut(serializers.Serializer[Any]):
    """What a check says of the data behind the figure; it is no figure of its own."""

    outcome = serializers.ChoiceField(choices=[one.value for one in Agreeing])
    ratio = serializers.FloatField(
        allow_null=True,
        help_text="of what is open: the time that Little's law says each stays open, over the mean"
        " of the curve; null: unknown",
    )
    sentence = serializers.CharField(help_text="what is compared, or why it cannot be")


class RestatedOut(serializers.Serializer[Any]):
    """Decisions of the period that were told otherwise after it was over."""

    was = serializers.CharField(
        help_text="met, missed, undecided, withdrawn, not_counted, or elsewhere: in another slice"
    )
    now = serializers.CharField()
    items = serializers.IntegerField()
    noticed_at = serializers.DateTimeField(help_text="the latest of them")


class ReadingTargetOut(serializers.Serializer[Any]):
    """The target beside a figure, and how it stands; one that is not signed decides nothing."""

    value = serializers.CharField()
    words = serializers.CharField()
    state = serializers.CharField()
    in_force_from = serializers.DateField(allow_null=True)
    to_be_signed_again = serializers.BooleanField(
        help_text="the definition changed what the number means since the target was signed"
    )
    sheet = serializers.IntegerField()


class GuardOut(serializers.Serializer[Any]):
    """A figure that gets worse where the one it guards is pushed unfairly (METRICS.md 1.15)."""

    key = serializers.CharField()
    name = serializers.CharField()
    value = serializers.FloatField(allow_null=True, help_text="null: unknown or not shown")
    numerator = serializers.IntegerField(allow_null=True)
    denominator = serializers.IntegerField(allow_null=True)
    sentence = serializers.CharField()
    signals = serializers.CharField(
        allow_blank=True, help_text="why it asks for a look although the target is met; else empty"
    )


class ReadingOut(serializers.Serializer[Any]):
    """A measured value with everything that must stand beside it (METRICS.md 1.14)."""

    key = serializers.CharField()
    name = serializers.CharField()
    unit = serializers.CharField(help_text="share, seconds (business), scale_points or count")
    slice = SliceOut()
    period = PeriodOut()
    as_of = serializers.DateTimeField()
    definition_version = serializers.IntegerField()
    settings_version = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True, help_text="null: unknown or not shown")
    numerator = serializers.IntegerField(allow_null=True)
    denominator = serializers.IntegerField(allow_null=True)
    interval = IntervalOut()
    reliability_state = serializers.CharField(allow_null=True)
    response_rate = serializers.FloatField(allow_null=True)
    flags = serializers.ListField(child=serializers.CharField())
    provisional = serializers.BooleanField()
    so_far = SoFarOut(allow_null=True)
    still_open = serializers.IntegerField()
    left_out = serializers.DictField(child=serializers.IntegerField())
    sentence = serializers.CharField()
    beside = serializers.DictField(child=serializers.FloatField(allow_null=True))
    kept = serializers.BooleanField(allow_null=True)
    status = serializers.CharField(
        allow_null=True, help_text=", ".join(status.value for status in Status)
    )
    target = ReadingTargetOut(allow_null=True)
    paired_evidence = serializers.ListField(child=serializers.CharField())
    guardrail = GuardOut(many=True)
    data_quality = RestsOnOut(many=True)
    data_quality_hint = HintOut(allow_null=True, help_text="null: nothing is checked of the figure")
    restated = RestatedOut(many=True)


class SliceQuestion(serializers.Serializer[Any]):
    """Of which slice; `until` is not included."""

    until = serializers.DateField()
    capability = serializers.CharField(max_length=80, required=False)
    severity = serializers.ChoiceField(choices=SEVERITY_CHOICES, required=False)
    domain = serializers.CharField(max_length=80, required=False)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of Python, so it cannot be an attribute here."""
        return {**super().get_fields(), "from": serializers.DateField()}


class EvidenceQuestion(SliceQuestion):
    """What stands beside one figure; comments of a segment would lead to who wrote them."""

    metric = serializers.CharField(max_length=100)


class SegmentField(serializers.ChoiceField):
    """Who people were to us at the event; a refusal names what there is."""

    def __init__(self, **more: Any) -> None:
        super().__init__(choices=list(SEGMENTS), **more)

    def fail(self, key: str, **values: Any) -> Never:
        """Raises ValidationError."""
        raise ValidationError(no_segment(values["input"]), code=key)


class Question(SliceQuestion):
    """One figure of a slice."""

    metric = serializers.CharField(max_length=100)
    segment = SegmentField(required=False, help_text=SEGMENT)


class ExportQuestion(SliceQuestion):
    """Many figures of a slice and its parts."""

    segment = SegmentField(required=False, help_text=SEGMENT)

    metric = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        default=list,
        help_text="KEY or KEY.VIEW, repeated; every view of every metric where none is named",
    )
    split = serializers.ListField(
        child=serializers.ChoiceField(choices=SPLITS),
        required=False,
        default=list,
        help_text="dimensions to tell apart, repeated; of those of segments one at a time",
    )


class ReadingView(Endpoint):
    """One figure, now, of one slice."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(
        operation_id="readings_retrieve",
        parameters=[
            Question,
            OpenApiParameter("metric", str, required=True, description="KEY or KEY.VIEW"),
        ],
        responses=ReadingOut,
    )
    def get(self, request: Request) -> Response:
        """Read one figure; durations are told per severity only, never pooled."""
        question = Question(data=request.query_params)
        refuse_unknown(request, set(question.fields) | {"format"})
        question.is_valid(raise_exception=True)
        said = question.validated_data
        with _refusals_told():
            answering = Answering(Reader(self.organisation, as_of=timezone.now()))
            reading = answering.measure(said["metric"], _asked(said))
        return Response(ReadingOut(reading.to_json()).data)


class EvidenceTicketOut(serializers.Serializer[Any]):
    """A ticket a row is about; GET /tickets/{source}/{external_id}/ tells it."""

    source = serializers.CharField()  # type: ignore[assignment]
    external_id = serializers.CharField()


class EvidenceRowOut(serializers.Serializer[Any]):
    """One piece of evidence in words; comments and quality reviews name no ticket."""

    text = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    tickets = EvidenceTicketOut(many=True)


class EvidencePieceOut(serializers.Serializer[Any]):
    """A kind of evidence: rows, or words that say why there are none."""

    kind = serializers.CharField(help_text="comments, observations …; not_kept: nowhere, and why")
    title = serializers.CharField()
    words = serializers.CharField()
    rows = EvidenceRowOut(many=True)


class EvidenceOut(serializers.Serializer[Any]):
    """What is to be read beside a metric (METRICS.md 1.15)."""

    metric = serializers.CharField()
    evidence = serializers.CharField(help_text="what the definition names")
    pieces = EvidencePieceOut(many=True)


class EvidenceView(Endpoint):
    """The evidence beside one figure, of one slice."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}

    @extend_schema(
        operation_id="evidence_retrieve",
        parameters=[
            EvidenceQuestion,
            OpenApiParameter("metric", str, required=True, description="KEY or KEY.VIEW"),
        ],
        responses=EvidenceOut,
    )
    def get(self, request: Request) -> Response:
        """Read what stands beside a figure, each kind that its definition names."""
        question = EvidenceQuestion(data=request.query_params)
        refuse_unknown(request, set(question.fields) | {"format"})
        question.is_valid(raise_exception=True)
        said = question.validated_data
        with _refusals_told():
            metric, _ = find(said["metric"])
            answering = Answering(Reader(self.organisation, as_of=timezone.now()))
            pieces = answering.evidence(metric.key, _asked(said))
        told = {"metric": metric.key, "evidence": metric.evidence, "pieces": pieces}
        return Response(EvidenceOut(told).data)


class _Table(BaseRenderer):
    """Writes readings; a refusal stays a problem document, whatever was asked for."""

    def render(self, data: Any, media_type: str | None = None, context: Any = None) -> bytes:
        if context["response"].exception:
            return JSONRenderer().render(data)
        return FORMATS[self.format].write(data)


class CsvTable(_Table):
    """The default."""

    media_type, format = "text/csv", "csv"


class XlsxTable(_Table):
    """For spreadsheets."""

    media_type, format = FORMATS["xlsx"].media_type, "xlsx"
    charset, render_style = None, "binary"


class JsonTable(_Table):
    """For programs."""

    media_type, format = "application/json", "json"
    charset = None


class ReadingExport(Endpoint):
    """The same figures as a table to take away, whole or split."""

    scopes = {"GET": (Scope.READ_INTERNAL,)}
    renderer_classes = [CsvTable, XlsxTable, JsonTable]

    @extend_schema(
        operation_id="readings_export",
        parameters=[
            ExportQuestion,
            OpenApiParameter("format", str, enum=list(FORMATS), description="csv by default"),
        ],
        responses={
            (200, CsvTable.media_type): OpenApiTypes.STR,
            (200, XlsxTable.media_type): OpenApiTypes.BINARY,
            (200, JsonTable.media_type): ReadingOut(many=True),
        },
    )
    def get(self, request: Request) -> Response:
        """Export figures; a duration among all of them is told for each severity."""
        question = ExportQuestion(data=request.query_params)
        refuse_unknown(request, set(question.fields) | {"format"})
        question.is_valid(raise_exception=True)
        said = question.validated_data
        with _refusals_told():
            answering = Answering(Reader(self.organisation, as_of=timezone.now()))
            told = answering.all(said["metric"], _asked(said), said["split"])
        name = f"readings-{said['from']}-{said['until']}.{request.accepted_renderer.format}"
        return Response(told, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _asked(said: Mapping[str, Any]) -> Asked:
    """The slice of a question that was found valid."""
    return Asked(said["from"], said["until"], *(said.get(name) for name in DIMENSIONS))


@contextmanager
def _refusals_told() -> Iterator[None]:
    """Turn what cannot be answered into a refusal that names the parameter it is about."""
    try:
        yield
    except (UnknownMetric, NotAskable, NotOneFigure, TooMuchToRead) as error:
        raise ValidationError({_about(error): [str(error)]}) from error


def _about(error: Exception) -> str:
    """Which parameter a refusal is about."""
    if isinstance(error, SeveritiesPooled | NoSeverity):
        return "severity"
    if isinstance(error, NoSegment):
        return "segment"
    return "metric" if isinstance(error, UnknownMetric | ScalesPooled) else "slice"
