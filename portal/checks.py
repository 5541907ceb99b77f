"""System checks: production refuses to start with unsafe values."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.security, deploy=True)
def production_is_safe(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Name every value that a production installation must not have."""
    faults: list[CheckMessage] = []
    if settings.DEMO:
        return faults
    if not settings.HTTPS:
        faults.append(
            Error(
                "PUBLIC_URL is not https, so cookies and survey links would travel in the clear.",
                hint="Set PUBLIC_URL=https://… (or DEMO=1 for a demo on this machine).",
                id="wellserved.E001",
            )
        )
    if not settings.REQUIRE_MFA:
        faults.append(
            Error(
                "REQUIRE_MFA is off: governing roles could sign targets with a password alone.",
                hint="Leave REQUIRE_MFA unset.",
                id="wellserved.E002",
            )
        )
    if settings.MAILBOX_FOLDER:
        faults.append(
            Error(
                "MAILBOX_FOLDER is set: invitations would be written to a folder, not sent.",
                hint="Unset MAILBOX_FOLDER and set SMTP_HOST.",
                id="wellserved.E003",
            )
        )
    return faults
