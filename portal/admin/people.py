"""The administration of people: memberships with their roles, and keys of external tools."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.admin_site import (
    ReadOnlyAdmin,
    TenantAdmin,
    TenantForm,
    member_of_request,
    site,
)
from portal.people.api_keys import BadKeyRequest, create_key, revoke_key
from portal.people.models import ApiKey, Membership, Person
from portal.people.roles import Right, Scope


class NewMember(TenantForm):
    """The address, name and role of a new member."""

    email = forms.EmailField(label="E-mail address")
    name = forms.CharField(max_length=200, help_text="Used if nobody of this address is known yet.")
    field_order = ("email", "name", "role")

    class Meta:
        model = Membership
        fields = ("role",)

    def clean(self) -> Any:
        """Refuse a role that is held already."""
        cleaned = super().clean() or self.cleaned_data
        address, role = cleaned.get("email", "").strip().lower(), cleaned.get("role")
        if Membership.objects.filter(
            tenant=self.organisation, person__email=address, role=role
        ).exists():
            raise forms.ValidationError("This person holds this role already. Nothing was added.")
        return cleaned


@admin.register(Membership, site=site)
class MembershipAdmin(TenantAdmin):
    """Who is what here: a role is added or removed, never turned into another one.

    A new person is asked for by address, because a list to choose from would show everybody on the
    installation; they set their own password by the reset link.
    """

    changes = False
    deletes = True
    list_display = ("person", "role")
    list_select_related = ("person",)
    list_filter = ("role",)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Ask a new member's address."""
        if obj is None:
            kwargs.update(form=NewMember, fields=("role",))
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Address and name stand on the form of a new member only."""
        return ("person", "role") if obj else ("email", "name", "role")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Find or create the person of the address."""
        address = form.cleaned_data["email"].strip().lower()
        obj.person = Person.objects.filter(email=address).first() or Person.objects.create_user(
            address, name=form.cleaned_data["name"]
        )
        super().save_model(request, obj, form, change)


class KeyForm(forms.Form):
    """What a new key may do, and for how long."""

    name = forms.CharField(max_length=100)
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {scope.label}") for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.IntegerField(label="Days until it expires", min_value=1, max_value=365, initial=90)

    def __init__(self, tenant_id: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant_id = tenant_id

    def clean_name(self) -> str:
        """Refuse a name that another key has."""
        name = str(self.cleaned_data["name"])
        if ApiKey.objects.for_tenant(self.tenant_id).filter(name=name).exists():
            raise forms.ValidationError("Another key has this name. No key was made.")
        return name


@admin.register(ApiKey, site=site)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys: made here, shown once, revoked here."""

    list_display = ("name", "prefix", "expires_at", "revoked_at", "last_used_at")
    exclude = ("tenant", "digest")
    adds = True
    change_form_template = "admin/people/api_key.html"

    def get_urls(self) -> list[Any]:
        """The page that ends a key."""
        revoke = self.admin_site.admin_view(require_POST(self.revoke))
        return [path("<int:key>/revoke/", revoke, name="people_apikey_revoke"), *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Make a key and show it, once."""
        member, now = member_of_request(request), timezone.now()
        if not member.may(Right.CONFIGURE):
            raise Http404
        form = KeyForm(member.organisation.pk, request.POST if request.method == "POST" else None)
        secret = ""
        if form.is_bound and form.is_valid():
            try:
                _, secret = create_key(
                    tenant_id=member.organisation.pk,
                    name=form.cleaned_data["name"],
                    scopes=[Scope(scope) for scope in form.cleaned_data["scopes"]],
                    expires_at=now + timedelta(days=form.cleaned_data["days"]),
                    by=member.person,
                    at=now,
                )
            except BadKeyRequest as error:
                form.add_error(None, str(error))
        context = {
            **self.admin_site.each_context(request),
            "title": "New API key",
            "opts": self.opts,
            "form": form,
            "secret": secret,
        }
        return TemplateResponse(request, "admin/people/new_api_key.html", context)

    def revoke(self, request: HttpRequest, key: int) -> HttpResponse:
        """End a key at once."""
        member = member_of_request(request)
        if not member.may(Right.CONFIGURE):
            raise Http404
        found = get_object_or_404(self.get_queryset(request), pk=key)
        revoke_key(key=found, by=member.person, at=timezone.now())
        return HttpResponseRedirect(reverse("admin:people_apikey_changelist"))
