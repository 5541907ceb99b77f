"""The administration of the catalogue: what is served, by whom, and in which hours."""

from __future__ import annotations

from django.contrib import admin

from portal.admin_site import TenantAdmin, site
from portal.catalogue.models import (
    BusinessCalendar,
    BusinessUnit,
    CalendarVersion,
    Capability,
    Domain,
    SeverityCalendar,
    TimeTarget,
)


@admin.register(BusinessCalendar, site=site)
class BusinessCalendarAdmin(TenantAdmin):
    """Calendars by name."""

    list_display = ("name",)


@admin.register(CalendarVersion, site=site)
class CalendarVersionAdmin(TenantAdmin):
    """The rules of a calendar, version by version."""

    list_display = ("calendar", "valid_from", "valid_until", "time_zone")
    list_select_related = ("calendar",)


@admin.register(Domain, site=site)
class DomainAdmin(TenantAdmin):
    """Domains, who runs them, and who co-signs."""

    list_display = ("name", "key", "service_desk_manager", "needs_business_unit_lead")
    list_select_related = ("service_desk_manager",)


@admin.register(BusinessUnit, site=site)
class BusinessUnitAdmin(TenantAdmin):
    """Business units and their leads."""

    list_display = ("name", "lead")
    list_select_related = ("lead",)


@admin.register(Capability, site=site)
class CapabilityAdmin(TenantAdmin):
    """Capabilities with their owners."""

    list_display = ("name", "domain", "process_owner", "self_service")
    list_select_related = ("domain", "process_owner")
    prepopulated_fields = {"slug": ("name",)}


@admin.register(SeverityCalendar, site=site)
class SeverityCalendarAdmin(TenantAdmin):
    """Calendars of a single severity."""

    list_display = ("domain", "severity", "calendar")
    list_display_links = ("severity",)
    list_select_related = ("domain", "calendar")


@admin.register(TimeTarget, site=site)
class TimeTargetAdmin(TenantAdmin):
    """Promised times, in business seconds."""

    list_display = ("domain", "severity", "clock", "seconds", "valid_from")
    list_select_related = ("domain",)
