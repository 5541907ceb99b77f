"""The settings of measuring in the administration: every version is kept, a change is a new one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone

from metrics.deciding_settings import change_settings, settings_of
from metrics.models import SettingsVersion
from metrics.settings import Listed, Settings, SettingsRefused, listed
from portal.admin_site import TenantAdmin, TenantForm, member_of_request, site


def _field(one: Listed) -> forms.Field:
    label = f"{one.words} (METRICS {one.section})"
    if one.choices:
        return forms.ChoiceField(
            label=label,
            initial=one.value,
            choices=[(word, f"{word}: {meaning}") for word, meaning in one.choices.items()],
            help_text=f"by default {one.default}",
        )
    return forms.FloatField(
        label=label,
        initial=one.value,
        min_value=one.low,
        max_value=one.high,
        help_text=f"{one.low:g} to {one.high:g}; by default {one.default:g}",
    )


class SettingsForm(TenantForm):
    """One field a setting, filled with what is in force."""

    class Meta:
        model = SettingsVersion
        fields = ("reason",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _, self.in_force = settings_of(self.organisation)
        for one in listed(self.in_force):
            self.fields[one.name] = _field(one)

    def clean(self) -> dict[str, Any]:
        """Refuse values that contradict each other, and a version that changes nothing."""
        cleaned: dict[str, Any] = super().clean() or {}
        values = {n: cleaned[n] for n in Settings.__slots__ if n in cleaned}
        try:
            if not self.errors and self.in_force.changed(values) == self.in_force:
                raise ValidationError("Nothing differs from what is in force; nothing was saved.")
        except SettingsRefused as refused:
            raise ValidationError(refused.mistakes) from refused
        return cleaned


@admin.register(SettingsVersion, site=site)
class SettingsVersionAdmin(TenantAdmin):
    """Versions with who and why; the newest is in force."""

    form = SettingsForm
    changes = False
    list_display = ("number", "saved_at", "saved_by", "reason")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Reason first, then every setting; a saved version is shown as it stands."""
        if obj is not None:
            return [(None, {"fields": ("number", "saved_at", "saved_by", "reason", "values")})]
        return [(None, {"fields": ("reason", *Settings.__slots__)})]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The form's own fields are no columns of the table."""
        return super().get_form(request, obj, change=change, **{**kwargs, "fields": ("reason",)})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a version by the act; the row in hand becomes it."""
        member = member_of_request(request)
        values = {name: form.cleaned_data[name] for name in Settings.__slots__}
        saved = change_settings(
            tenant=member.organisation,
            values=values,
            reason=obj.reason,
            by=member.actor,
            at=timezone.now(),
        )
        obj.__dict__.update(saved.__dict__)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The act has recorded it."""
