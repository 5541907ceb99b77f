"""The table of contents of the REST API: every endpoint is listed here."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from governance.api import PilotDetail, PilotList, TargetList, TargetSuggestion
from metrics.api import ObservationList, QualityReviewList
from portal.catalogue.api import CapabilityDetail, CapabilityList
from portal.improvements_api import ImprovementDetail, ImprovementList
from portal.organisations import anybody
from portal.paths import OF_SOURCE
from portal.readings_api import EvidenceView, ReadingExport, ReadingView
from tickets.api import TicketDetail, TicketList
from tickets.ingest_api import (
    EventList,
    MessageDetail,
    RatingUpsert,
    TicketUpsert,
    TypeDetail,
    TypeList,
)
from tickets.messages_api import DeliveryList, DeliveryReplay
from tickets.quality_api import DataQuality

schema = anybody(SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[]))

urlpatterns = [
    path("schema/", schema, name="api_schema"),
    path("tickets/", TicketList.as_view(), name="api_tickets"),
    path(f"tickets/{OF_SOURCE}", TicketDetail.as_view(), name="api_ticket"),
    path("ingest/messages/", DeliveryList.as_view(), name="api_messages"),
    path("ingest/messages/<int:message>/replay/", DeliveryReplay.as_view(), name="api_replay"),
    path("ingest/events/", EventList.as_view(), name="api_events"),
    path(f"ingest/tickets/{OF_SOURCE}", TicketUpsert.as_view(), name="api_ticket_upsert"),
    path(f"ingest/csat/{OF_SOURCE}", RatingUpsert.as_view(), name="api_rating_upsert"),
    path("ingest/messages/<int:message>/", MessageDetail.as_view(), name="api_message"),
    path("ingest/schemas/", TypeList.as_view(), name="api_event_types"),
    path("ingest/schemas/<str:type_>/", TypeDetail.as_view(), name="api_event_type"),
    path("capabilities/", CapabilityList.as_view(), name="api_capabilities"),
    path("capabilities/<slug:slug>/", CapabilityDetail.as_view(), name="api_capability"),
    path("readings/", ReadingView.as_view(), name="api_readings"),
    path("evidence/", EvidenceView.as_view(), name="api_evidence"),
    path("observations/", ObservationList.as_view(), name="api_observations"),
    path("quality-reviews/", QualityReviewList.as_view(), name="api_quality_reviews"),
    path("data-quality/", DataQuality.as_view(), name="api_data_quality"),
    path("readings/export/", ReadingExport.as_view(), name="api_readings_export"),
    path("improvements/", ImprovementList.as_view(), name="api_improvements"),
    path("improvements/<int:action>/", ImprovementDetail.as_view(), name="api_improvement"),
    path("pilots/", PilotList.as_view(), name="api_pilots"),
    path("pilots/<int:pilot>/", PilotDetail.as_view(), name="api_pilot"),
    path("targets/suggestion/", TargetSuggestion.as_view(), name="api_target_suggestion"),
    path("targets/", TargetList.as_view(), name="api_targets"),
]
