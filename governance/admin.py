"""Sheets of targets in the administration, and the page on which the business unit co-signs."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path

from governance import cosigning
from governance.models import TargetSheet
from governance.views import find_sheet, sign_page
from portal.admin_site import ReadOnlyAdmin, member_of_request, site
from portal.audit.trail import verify
from portal.catalogue.models import Capability
from portal.organisations import MemberRequest
from portal.people.roles import Right, Role


@admin.register(TargetSheet, site=site)
class TargetSheetAdmin(ReadOnlyAdmin):
    """Every sheet, and for the business unit's lead the page to co-sign it."""

    right = Right.READ_PAGES
    list_display = ("domain", "effective_from", "effective_until", "proposed_by", "proposed_at")
    list_select_related = ("domain", "proposed_by")
    exclude = ("tenant", "domain", "terms", "digest")
    readonly_fields = ("in_domain",)
    change_form_template = "admin/governance/sheet.html"

    @admin.display(description="Domain")
    def in_domain(self, sheet: TargetSheet) -> str:
        """Its name; as a field it would link to a page that few of the readers may open."""
        return sheet.domain.name

    def get_urls(self) -> list[Any]:
        """The co-sign page stands beside the sheet."""
        view = self.admin_site.admin_view(self.cosign)
        name = "governance_targetsheet_cosign"
        return [path("<int:sheet>/cosign/", view, name=name), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The sheet, with the way to the co-sign page for those who co-sign."""
        may = member_of_request(request).may(Right.COSIGN_TARGETS)
        extra = {**(extra_context or {}), "may_cosign": may}
        return super().change_view(request, object_id, form_url, extra)

    def cosign(self, request: HttpRequest, sheet: int) -> HttpResponse:
        """Every term in words, what changed, the evidence; one POST signs, after confirming."""
        member = member_of_request(request)
        if not member.may(Right.COSIGN_TARGETS):
            raise Http404
        organisation = member.organisation
        found = find_sheet(organisation, sheet)
        home = f"/{organisation.slug}"
        served = Capability.objects.for_tenant(organisation).filter(domain=found.domain_id)
        sound, fault = verify(organisation.pk)
        return sign_page(
            cast(MemberRequest, request),
            found,
            act=cosigning.cosign,
            role=Role.BUSINESS_UNIT_LEAD,
            template="admin/governance/cosign.html",
            done=lambda: HttpResponseRedirect(f"{home}/targets/{found.pk}/"),
            extra={
                **self.admin_site.each_context(request),
                "title": f"Co-sign the targets of {found.domain.name}",
                "opts": self.opts,
                "home": home,
                "evidence": [(c.name, f"{home}/capabilities/{c.slug}/") for c in served],
                "chain": (
                    f"Entry {fault.sequence} {fault.reason}. Do not sign; tell an auditor."
                    if fault
                    else f"Checked now: all {sound} entries of the trail are sound."
                ),
            },
        )
