"""The REST endpoints of observations and quality reviews: reading them, and telling more.

Neither names who worked on anything: an observation comes with the role it was written in, a
quality review once its batch is released, without its ticket.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from metrics.evidence import week_of
from metrics.masking import Mask
from metrics.models import Observation, QualityReview
from metrics.observing import NotObservable, write_observation
from metrics.reviewing_quality import AlreadyReviewed, NothingResolved, review_ticket
from metrics.rubric import RUBRIC, ErrorIn, Mark, NotMarked
from portal.audit.trail import Actor
from portal.catalogue.models import Capability
from portal.endpoint import Endpoint
from portal.people.roles import Scope
from portal.rest import ClosedSerializer, Pages, holder_of
from tickets.models import Ticket

MARKS = [(mark.value, mark.label) for mark in Mark]
PLACES = [(place.value, place.label) for place in ErrorIn if place]


class Refused(APIException):
    """What is asked for cannot be done as things stand."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This cannot be done as things stand. Nothing was stored."
    default_code = "refused"


def _actor(request: Request) -> Actor:
    holder = holder_of(request)
    assert holder is not None, "the scope was asked of a key"
    return Actor(f"key:{holder.key.pk}", holder.key.name)


class _Masked(serializers.Serializer[Any]):
    """Words in which the staff's names are masked; the view hands in the mask."""

    def words(self, text: str) -> str:
        """The text masked."""
        mask: Mask = self.context["mask"]
        return mask(text)


# --- observations --------------------------------------------------------------------------------


class AnsweredOut(serializers.Serializer[Any]):
    """What became of an observation, by whoever runs the service."""

    outcome = serializers.CharField()
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class ObservationOut(_Masked):
    """An observation: its author is not told, and no day."""

    id = serializers.IntegerField()
    capability = serializers.CharField(source="capability.slug")
    metric = serializers.CharField(help_text="KEY; empty: the service in general")
    standpoint = serializers.ChoiceField(choices=Observation.Standpoint.choices)
    text = serializers.SerializerMethodField(help_text="names of agents are masked")
    week = serializers.SerializerMethodField(help_text="the ISO week it was written in")
    answers = AnsweredOut(many=True, help_text="the latest first")

    def get_text(self, observation: Observation) -> str:
        """Masked."""
        return self.words(observation.text)

    def get_week(self, observation: Observation) -> str:
        """The week."""
        return week_of(observation.at)


class ObservationIn(ClosedSerializer):
    """An observation to be kept."""

    capability = serializers.SlugField(max_length=80)
    metric = serializers.CharField(
        max_length=100, required=False, default="", allow_blank=True, help_text="KEY"
    )
    standpoint = serializers.ChoiceField(choices=Observation.Standpoint.choices)
    text = serializers.CharField(max_length=1000)


class ObservationFilters(filters.FilterSet):
    """Filters of observations."""

    capability = filters.CharFilter("capability__slug", label="slug of the capability")
    metric = filters.CharFilter(label="KEY of the metric")
    standpoint = filters.ChoiceFilter(choices=Observation.Standpoint.choices)

    class Meta:
        model = Observation
        fields = ("capability", "metric", "standpoint")


class LatestFirst(Pages):
    """Latest first."""

    ordering = ("-at", "-id")


class _Told(Endpoint, ListAPIView):  # type: ignore[type-arg]
    """A list whose words are masked, and to which more may be told."""

    scopes = {"GET": (Scope.READ_INTERNAL,), "POST": (Scope.INGEST_EVENTS,)}
    pagination_class = LatestFirst

    def get_serializer_context(self) -> dict[str, Any]:
        """With the mask of the organisation's staff."""
        context = dict(super().get_serializer_context())
        if not getattr(self, "swagger_fake_view", False):
            context["mask"] = Mask.of(self.organisation)
        return context


class ObservationList(_Told):
    """Observations, latest first."""

    serializer_class = ObservationOut
    filterset_class = ObservationFilters

    def get_queryset(self) -> QuerySet[Observation]:
        """Observations of the key's organisation."""
        if getattr(self, "swagger_fake_view", False):
            return Observation.objects.none()
        return (
            Observation.objects.for_tenant(self.organisation)
            .select_related("capability")
            .prefetch_related("answers")
        )

    @extend_schema(request=ObservationIn, responses={201: ObservationOut})
    def post(self, request: Request) -> Response:
        """Keep an observation; who wrote it is known as the key only."""
        said = ObservationIn(data=request.data)
        said.is_valid(raise_exception=True)
        told = dict(said.validated_data)
        slug = told.pop("capability")
        capability = Capability.objects.for_tenant(self.organisation).filter(slug=slug).first()
        if capability is None:
            raise ValidationError({"capability": [f"There is no capability {slug!r}."]})
        try:
            kept = write_observation(
                tenant=self.organisation,
                capability=capability,
                by=_actor(request),
                author=None,
                at=timezone.now(),
                **told,
            )
        except NotObservable as refused:
            raise ValidationError({refused.field: [str(refused)]}) from refused
        return Response(self.get_serializer(kept).data, status=status.HTTP_201_CREATED)


# --- quality reviews -----------------------------------------------------------------------------


class MarksOut(serializers.Serializer[Any]):
    """A mark for each question of the rubric."""

    def get_fields(self) -> dict[str, Any]:
        """One field a question."""
        return {
            one.key: serializers.ChoiceField(choices=MARKS, help_text=one.question)
            for one in RUBRIC
        }


class MarksIn(MarksOut, ClosedSerializer):
    """A mark for each question of the rubric."""


class QualityReviewOut(_Masked):
    """A released review: neither its ticket nor its author is told, and no day."""

    id = serializers.IntegerField()
    capability = serializers.CharField(source="capability.slug")
    rubric = serializers.IntegerField(help_text="version of the questions")
    marks = serializers.DictField(child=serializers.ChoiceField(choices=MARKS))
    error_in = serializers.CharField(help_text="empty: no error found")
    note = serializers.SerializerMethodField(help_text="names of agents are masked")
    week = serializers.SerializerMethodField(help_text="the ISO week of the resolution")

    def get_note(self, review: QualityReview) -> str:
        """Masked."""
        return self.words(review.note)

    def get_week(self, review: QualityReview) -> str:
        """The week."""
        return week_of(review.resolved_at)


class TicketIn(ClosedSerializer):
    """A ticket by its source and the source's id."""

    source = serializers.SlugField(max_length=60)  # type: ignore[assignment]
    external_id = serializers.CharField(max_length=200)


class QualityReviewIn(ClosedSerializer):
    """A review of a ticket's last resolution."""

    ticket = TicketIn()
    marks = MarksIn()
    error_in = serializers.ChoiceField(choices=PLACES, required=False, default="", allow_blank=True)
    note = serializers.CharField(max_length=1000, required=False, default="", allow_blank=True)


class KeptReviewOut(serializers.Serializer[Any]):
    """That a review is kept; it is told once its batch is released."""

    id = serializers.IntegerField()
    ticket = TicketIn()


class QualityReviewFilters(filters.FilterSet):
    """Filters of quality reviews."""

    capability = filters.CharFilter("capability__slug", label="slug of the capability")

    class Meta:
        model = QualityReview
        fields = ("capability",)


class QualityReviewList(_Told):
    """Released quality reviews, without their tickets."""

    serializer_class = QualityReviewOut
    filterset_class = QualityReviewFilters

    def get_queryset(self) -> QuerySet[QualityReview]:
        """Released reviews of the key's organisation."""
        if getattr(self, "swagger_fake_view", False):
            return QualityReview.objects.none()
        return (
            QualityReview.objects.for_tenant(self.organisation)
            .filter(release__isnull=False)
            .select_related("capability")
        )

    @extend_schema(request=QualityReviewIn, responses={201: KeptReviewOut})
    def post(self, request: Request) -> Response:
        """Keep a review of a ticket's last resolution; it waits for its batch."""
        said = QualityReviewIn(data=request.data)
        said.is_valid(raise_exception=True)
        told = dict(said.validated_data)
        name = told.pop("ticket")
        ticket = (
            Ticket.objects.for_tenant(self.organisation)
            .filter(connection__name=name["source"], external_id=name["external_id"])
            .first()
        )
        if ticket is None:
            raise ValidationError({"ticket": ["There is no such ticket."]})
        try:
            kept = review_ticket(
                tenant=self.organisation,
                ticket=ticket,
                by=_actor(request),
                at=timezone.now(),
                **told,
            )
        except NotMarked as refused:
            raise ValidationError({refused.field: [str(refused)]}) from refused
        except (NothingResolved, AlreadyReviewed) as refused:
            raise Refused(str(refused)) from refused
        body = {"id": kept.pk, "ticket": name}
        return Response(KeptReviewOut(body).data, status=status.HTTP_201_CREATED)
