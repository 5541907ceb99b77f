"""The administration of one organisation: whose rows it shows, who may touch them, what it records.

It is Django's own admin at /<organisation>/admin/. Nobody is a superuser: every permission is asked
of the member's roles, every row and every choice belongs to the organisation, every change goes
into the audit trail. portal/organisations.py lets people in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from portal.audit.trail import record
from portal.organisations import Member
from portal.people.models import Person
from portal.people.roles import Right
from portal.tenancy.models import TenantOwned


def member_of_request(request: HttpRequest) -> Member:
    """The member the door let in; admin views are typed for any request."""
    return request.member  # type: ignore[attr-defined, no-any-return]


class OrganisationAdminSite(admin.AdminSite):
    """Django's admin without its own accounts: signing in and passwords are the product's."""

    site_title = "Wellserved"
    site_header = "Administration"
    index_title = "What is served, by whom, and what was decided"
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """Whoever came through the door of the administration (portal/organisations.py)."""
        return hasattr(request, "member")

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Lead back to the organisation's own pages."""
        home = f"/{member_of_request(request).organisation.slug}/"
        return {**super().each_context(request), "site_url": home}

    def get_urls(self) -> list[Any]:
        """All but the address that jumps to a page of any model by its number."""
        return [one for one in super().get_urls() if getattr(one, "name", "") != "view_on_site"]

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Whoever sees this is signed in already."""
        return redirect("admin:index")

    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The product's page for signing out."""
        return redirect("/account/sign-out/")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The product's page for passwords."""
        return redirect("/account/password/change/")

    def password_change_done(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The product's page for passwords."""
        return redirect("/account/password/change/")


site = OrganisationAdminSite()


class TenantForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose row belongs to the organisation before it is checked for being the only one."""

    organisation: ClassVar[Any] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.tenant = self.organisation

    def _get_validation_exclusions(self) -> set[str]:
        # Without the tenant Django would leave unique constraints to the database: a 500.
        return super()._get_validation_exclusions() - {"tenant"}  # type: ignore[misc, no-any-return]


class TenantAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows of one organisation, for those whose roles hold the right; no bulk actions."""

    right: ClassVar[Right] = Right.CONFIGURE
    adds: ClassVar[bool] = True
    changes: ClassVar[bool] = True
    deletes: ClassVar[bool] = False
    form = TenantForm
    exclude: ClassVar[Any] = ("tenant",)
    actions = None
    view_on_site = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 100

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As `has_view_permission`."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether a role of the member holds the right to read."""
        return member_of_request(request).may(self.right)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether rows are made here, by this member."""
        return self.adds and member_of_request(request).may(Right.CONFIGURE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether rows are changed here, by this member."""
        return self.changes and member_of_request(request).may(Right.CONFIGURE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether rows are removed here, by this member."""
        return self.deletes and member_of_request(request).may(Right.CONFIGURE)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only the filters that are offered: any other could ask rows a question unseen.

        And only for words a row could hold: the database takes no NUL character.
        """
        if any("\x00" in one for one in ([value] if isinstance(value, str) else value)):
            return False
        offered = [name for name in self.list_filter if isinstance(name, str)]
        if lookup in {getattr(one, "parameter_name", None) for one in self.list_filter}:
            return True
        return any(lookup in (name, f"{name}__exact", f"{name}__id__exact") for name in offered)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Rows of the organisation in the path."""
        return super().get_queryset(request).filter(tenant=member_of_request(request).organisation)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The form of this organisation."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(
            form.__name__, (form,), {"organisation": member_of_request(request).organisation}
        )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer rows and people of the organisation only."""
        organisation = member_of_request(request).organisation
        related = db_field.related_model
        if related is Person:
            kwargs["queryset"] = Person.objects.filter(memberships__tenant=organisation).distinct()
        elif issubclass(related, TenantOwned):
            kwargs["queryset"] = related.objects.for_tenant(organisation)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep the row in the organisation whatever the form said."""
        obj.tenant = member_of_request(request).organisation
        super().save_model(request, obj, form, change)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record in the audit trail, which cannot be changed; Django's own log can."""
        return self.record(request, "added", obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record in the audit trail."""
        return self.record(request, "changed", obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Record in the audit trail."""
        return [self.record(request, "removed", obj, []) for obj in queryset]

    def record(self, request: HttpRequest, act: str, obj: models.Model, message: Any) -> Any:
        """One entry: `domain.changed` with the fields and what stands in the row now."""
        member = member_of_request(request)
        kind = obj._meta.model_name
        return record(
            tenant_id=member.organisation.pk,
            actor=member.actor,
            act=f"{kind}.{act}",
            subject_kind=str(kind),
            subject_id=obj.pk,
            at=timezone.now(),
            detail={"fields": _fields(message), "row": _plain(obj)},
        )

    def _get_obj_does_not_exist_redirect(self, *_: Any) -> Any:
        raise Http404  # as everywhere: the same answer for what is not there and not theirs

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """There is one history, the audit trail."""
        raise Http404


class ReadOnlyAdmin(TenantAdmin):
    """Rows that are only read here: they come to be, and change, by acts of their own."""

    adds = changes = False


def _fields(message: Any) -> Sequence[str]:
    parts = message if isinstance(message, list) else []
    return [name for part in parts for name in part.get("changed", {}).get("fields", [])]


def _plain(obj: models.Model) -> dict[str, Any]:
    """The row as text, without bytes: a digest says nothing to a reader."""
    return {
        field.attname: None if value is None else str(value)
        for field in obj._meta.concrete_fields
        if not isinstance(value := getattr(obj, field.attname), bytes | memoryview)
    }
