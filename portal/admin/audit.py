"""The audit trail in the administration, its chain checked as it is shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from portal.admin_site import ReadOnlyAdmin, member_of_request, site
from portal.audit.models import AuditEntry
from portal.audit.trail import verify
from portal.people.roles import Right


@admin.register(AuditEntry, site=site)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Every act, the latest first."""

    right = Right.READ_AUDIT
    exclude = ("tenant", "previous_hash", "hash")
    list_display = ("sequence", "at", "actor_name", "act", "subject_kind", "subject_id")
    list_filter = ("act", "subject_kind")
    ordering = ("-sequence",)
    change_list_template = "admin/audit/trail.html"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list, headed by whether the chain is sound now."""
        sound, fault = verify(member_of_request(request).organisation.pk)
        words = (
            f"Entry {fault.sequence} {fault.reason}; the {sound} before it are sound."
            if fault
            else f"Checked now: {sound} entries, chain sound."
        )
        return super().changelist_view(request, {**(extra_context or {}), "verification": words})
