"""Dead letters in the administration: what could not be entered, why, and the button to try again.

Bodies are never shown: the web role cannot read them.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.admin_site import ReadOnlyAdmin, member_of_request, site
from portal.people.roles import Right
from tickets.inbound import BodyEmptied
from tickets.models import InboundMessage
from tickets.replaying import replay

_STATUSES = {
    "quarantined": "dead letters",
    "failed": "failed, tried again later",
    "waiting": "waiting",
    "folded": "entered",
}


class StatusFilter(admin.SimpleListFilter):
    """What became of deliveries: dead letters unless another answer is asked for."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every status but the one shown without asking."""
        return [(key, label) for key, label in _STATUSES.items() if key != "quarantined"]

    def choices(self, changelist: Any) -> Any:
        """The first choice is dead letters, not everything."""
        first, *rest = super().choices(changelist)
        return [{**first, "display": _STATUSES["quarantined"]}, *rest]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Deliveries of the status."""
        return queryset.in_status(self.value() or "quarantined")  # type: ignore[attr-defined, no-any-return]


@admin.register(InboundMessage, site=site)
class InboundMessageAdmin(ReadOnlyAdmin):
    """Deliveries by what became of them, the latest first."""

    right = Right.CONFIGURE
    list_display = ("number", "connection", "status", "reason", "received_at", "told_at", "tries")
    list_filter = (StatusFilter, "connection")
    list_select_related = ("connection",)
    ordering = ("-received_at", "-id")
    show_full_result_count = False
    fields = (
        *("connection", "delivery_id", "topic", "received_at", "signature", "headers"),
        *("status", "told_at", "tries", "reasons"),
    )
    readonly_fields = fields
    change_form_template = "admin/tickets/message.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        """With what became of each."""
        return super().get_queryset(request).with_status()

    def get_urls(self) -> list[Any]:
        """The address that tries a delivery again."""
        again = self.admin_site.admin_view(require_POST(self.replay))
        name = "tickets_inboundmessage_replay"
        return [path("<int:message>/replay/", again, name=name), *super().get_urls()]

    @admin.display(description="message")
    def number(self, message: Any) -> int:
        """The number that the sender was told."""
        return int(message.pk)

    @admin.display(description="status")
    def status(self, message: Any) -> str:
        """What became of it."""
        return _STATUSES[message.status]

    @admin.display(description="since")
    def told_at(self, message: Any) -> Any:
        """When that became of it."""
        return message.status_at

    @admin.display(description="tries")
    def tries(self, message: Any) -> int:
        """How often it was tried."""
        return int(message.tries)

    @admin.display(description="reason")
    def reason(self, message: Any) -> str:
        """The first of its errors."""
        return _lines(message)[0]

    @admin.display(description="reasons")
    def reasons(self, message: Any) -> str:
        """All of its errors, a line each."""
        return "\n".join(_lines(message))

    def replay(self, request: HttpRequest, message: int) -> HttpResponse:
        """Try a delivery again."""
        member = member_of_request(request)
        if not member.may(Right.CONFIGURE):
            raise Http404
        found = get_object_or_404(self.get_queryset(request), pk=message)
        try:
            queued = replay(
                tenant_id=member.organisation.pk,
                message_id=found.pk,
                by=member.actor,
                at=timezone.now(),
            )
        except BodyEmptied as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            said = "is tried again at the next tick" if queued else "is waiting already"
            self.message_user(request, f"Message {found.pk} {said}.")
        return HttpResponseRedirect(reverse("admin:tickets_inboundmessage_changelist"))


def _lines(message: Any) -> list[str]:
    """Errors as `field: reason`."""
    errors = message.errors or []
    return [": ".join(filter(None, (one["field"], one["reason"]))) for one in errors] or [""]
