"""The table of contents of pages: every address of the product is listed or included here."""

from __future__ import annotations

from allauth.account import views as sign_in
from django.urls import URLPattern, URLResolver, include, path

from portal import api, views
from portal.admin_site import site
from portal.paths import OF_SOURCE
from tickets.hooks import hook

handler400 = "portal.errors.bad_request"
handler403 = "portal.errors.permission_denied"
handler404 = "portal.errors.not_found"
handler500 = "portal.errors.server_error"

#: The parts of the sign-in library that are used; registration and e-mail changes are not.
SIGN_IN: list[URLPattern | URLResolver] = [
    path("sign-in/", sign_in.login, name="account_login"),
    path("sign-out/", sign_in.logout, name="account_logout"),
    path("confirm/", sign_in.reauthenticate, name="account_reauthenticate"),
    path("password/change/", sign_in.password_change, name="account_change_password"),
    path("password/reset/", sign_in.password_reset, name="account_reset_password"),
    path("password/reset/sent/", sign_in.password_reset_done, name="account_reset_password_done"),
    path(
        "password/reset/<str:uidb36>-<str:key>/",
        sign_in.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/changed/",
        sign_in.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("two-step/", include("allauth.mfa.urls")),
]

#: Pages of one organisation; each declares the right it needs (portal/organisations.py).
ORGANISATION: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("capabilities/<slug:capability>/", views.scorecard, name="scorecard"),
    path("capabilities/<slug:capability>/export/", views.scorecard_export, name="scorecard_export"),
    path("capabilities/<slug:capability>/tickets/", views.figure_tickets, name="figure_tickets"),
    path("capabilities/<slug:capability>/trends/", views.trends, name="trends"),
    path("capabilities/<slug:capability>/declared/", views.declared, name="declared"),
    path("capabilities/<slug:capability>/happened/", views.happenings, name="happenings"),
    path("capabilities/<slug:capability>/improvements/", views.improvements, name="improvements"),
    path(
        "capabilities/<slug:capability>/improvements/<int:action>/",
        views.improvement,
        name="improvement",
    ),
    path("surveys/pilots/", views.pilots, name="pilots"),
    path("surveys/pilots/<int:pilot>/", views.pilot, name="pilot"),
    path("compare/", views.compare, name="compare"),
    path("detectors/", views.detectors, name="detectors"),
    path("drivers/", views.drivers, name="drivers"),
    path("my-readings/", views.own_readings, name="own_readings"),
    path("method/", views.method, name="method"),
    path("voice/contradictions/", views.contradictions, name="contradictions"),
    path("voice/drawn-comments/", views.drawn_comments, name="drawn_comments"),
    path("voice/observations/", views.observations, name="observations"),
    path("voice/quality-reviews/", views.quality_reviews, name="quality_reviews"),
    path(f"tickets/{OF_SOURCE}", views.ticket, name="ticket"),
    path("voice/themes/", views.themes, name="themes"),
    path("self-service/second-reading/", views.routine_check, name="routine_check"),
    path("mailbox/", views.mailbox, name="mailbox"),
    path("targets/", include("governance.urls")),
    path("sources/upload/", include("tickets.upload_urls")),
    path("sources/", include("tickets.urls")),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.start, name="start"),
    path("healthz", views.healthz, name="healthz"),
    path("account/", include(SIGN_IN)),
    path("s/", include("surveys.urls")),
    path("hooks/<str:part>/", hook, name="hook"),
    path("api/v1/", include(api.urlpatterns)),
    # Reached as /<organisation>/admin/ only (portal/organisations.py).
    path("admin/", site.urls),
    path("<slug:organisation>/", include(ORGANISATION)),
]
