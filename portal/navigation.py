"""What every page shows around its content: organisation, navigation, demo notice, version."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from portal.people.roles import Right

#: Page name, words, and the right that makes it worth showing; in the order of the menu.
PAGES = [
    ("home", "Home", Right.READ_PAGES),
    ("targets", "Targets", Right.READ_PAGES),
    ("contradictions", "Scores against words", Right.READ_LIVE),
    ("observations", "Observations", Right.OBSERVE),
    ("quality_reviews", "Quality reviews", Right.READ_LIVE),
    ("routine_check", "Second reading", Right.READ_LIVE),
    ("pilots", "Survey pilots", Right.PILOT_SURVEYS),
    ("own_readings", "My readings", Right.READ_OWN),
    ("sources", "Sources", Right.CONFIGURE),
    ("data_quality", "Data quality", Right.READ_QUALITY),
    ("mailbox", "Mailbox", Right.READ_MAILBOX),
]


def page(request: HttpRequest) -> dict[str, Any]:
    """Context processor of every page."""
    member = getattr(request, "member", None)
    context: dict[str, Any] = {
        "product": "Wellserved",
        "version": settings.VERSION,
        "demo_banner": settings.DEMO and not settings.REQUIRE_MFA,
        "member": member,
    }
    if member is not None and not hasattr(request, "admin_of"):
        here = request.resolver_match.url_name if request.resolver_match else None
        context["organisation"] = member.organisation
        context["navigation"] = [
            {
                "label": label,
                "url": reverse(name, args=[member.organisation.slug]),
                "current": name == here,
            }
            for name, label, right in PAGES
            if member.may(right)
        ]
        if member.administers:
            slug = member.organisation.slug
            context["navigation"].append(
                {"label": "Administration", "url": f"/{slug}/admin/", "current": False}
            )
    return context
