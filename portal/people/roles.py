"""Roles and rights: one table says which role may do what (TRUST.md B2).

A right says what may be done somewhere in the organisation; *whose* domain, process or business
unit it covers is asked of the catalogue (`portal/catalogue/scope.py`).
"""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """What a person can be in an organisation; a person may hold several."""

    ADMINISTRATOR = "administrator", "administrator"
    PROCESS_OWNER = "process_owner", "process owner"
    SERVICE_DESK_MANAGER = "service_desk_manager", "service desk manager"
    BUSINESS_UNIT_LEAD = "business_unit_lead", "business unit lead"
    POLICY_OWNER = "policy_owner", "policy owner"
    ACCOUNT_MANAGER = "account_manager", "account or customer success manager"
    AGENT = "agent", "agent"
    AUDITOR = "auditor", "auditor"
    MEMBER = "member", "member"


class Right(models.TextChoices):
    """What can be done."""

    READ_PAGES = "read_pages", "read the catalogue, targets and volumes"
    READ_LIVE = "read_live", "read the live figures of their own domains"
    READ_OWN = "read_own", "read their own figures"
    OBSERVE = "observe", "write observations and see what became of them"
    REVIEW_QUALITY = "review_quality", "review how a ticket of their own services was handled"
    PILOT_SURVEYS = "pilot_surveys", "put the surveys of their own domains on trial"
    PROPOSE_TARGETS = "propose_targets", "propose targets"
    ACCEPT_TARGETS = "accept_targets", "accept targets"
    COSIGN_TARGETS = "cosign_targets", "co-sign targets"
    CONFIGURE = "configure", "configure the organisation"
    READ_QUALITY = "read_quality", "read what is wrong with the data"
    READ_AUDIT = "read_audit", "read the audit trail"
    READ_MAILBOX = "read_mailbox", "read the demo's mailbox"


_EVERYBODY = frozenset({Right.READ_PAGES})
#: Whoever reads a figure may see what it rests on.
_LIVE = _EVERYBODY | {Right.READ_LIVE, Right.READ_QUALITY, Right.OBSERVE}

MAY: dict[Role, frozenset[Right]] = {
    Role.ADMINISTRATOR: _EVERYBODY | {Right.CONFIGURE, Right.READ_AUDIT, Right.READ_QUALITY},
    Role.PROCESS_OWNER: _LIVE | {Right.PROPOSE_TARGETS, Right.REVIEW_QUALITY, Right.PILOT_SURVEYS},
    Role.SERVICE_DESK_MANAGER: _LIVE
    | {Right.ACCEPT_TARGETS, Right.REVIEW_QUALITY, Right.PILOT_SURVEYS},
    Role.BUSINESS_UNIT_LEAD: _LIVE | {Right.COSIGN_TARGETS},
    Role.POLICY_OWNER: _LIVE,
    Role.ACCOUNT_MANAGER: _EVERYBODY | {Right.OBSERVE},
    Role.AGENT: _EVERYBODY | {Right.READ_OWN, Right.OBSERVE},
    Role.AUDITOR: _EVERYBODY | {Right.READ_AUDIT},
    Role.MEMBER: _EVERYBODY,
}

#: Roles that govern need a second factor (TRUST.md E); agents only once they share.
GOVERNING = frozenset(
    {
        Role.ADMINISTRATOR,
        Role.PROCESS_OWNER,
        Role.SERVICE_DESK_MANAGER,
        Role.BUSINESS_UNIT_LEAD,
    }
)


def rights_of(roles: frozenset[Role]) -> frozenset[Right]:
    """Everything that holders of these roles may do."""
    return frozenset[Right]().union(*(MAY[role] for role in roles))


class Scope(models.TextChoices):
    """What an API key may do. No scope for anyone's own figures exists (TRUST.md T07)."""

    INGEST_EVENTS = "ingest:events", "send tickets and answers"
    READ_PUBLISHED = "read:published", "read the catalogue, targets and published figures"
    READ_INTERNAL = "read:internal", "read live figures and tickets"
    ADMIN_CONFIG = "admin:config", "configure"
