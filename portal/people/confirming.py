"""Confirming who one is before an act that counts: password, and the second step if any."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django import forms

from portal.people.models import Person


class ConfirmForm(forms.Form):
    """Asks the signed-in person for their password, and for a code if they have an app for it."""

    password = forms.CharField(
        label="Your password",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="Signing needs to know that it is you, now.",
    )

    def __init__(self, person: Person, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person
        self.authenticator = Authenticator.objects.filter(
            user=person, type=Authenticator.Type.TOTP
        ).first()
        if self.authenticator is not None:
            self.fields["code"] = forms.CharField(
                label="Code of your authenticator app",
                max_length=8,
                widget=forms.TextInput(
                    attrs={"inputmode": "numeric", "autocomplete": "one-time-code"}
                ),
            )

    def clean_password(self) -> str:
        """Refuse a wrong password."""
        password = str(self.cleaned_data["password"])
        if not self.person.check_password(password):
            raise forms.ValidationError("This is not your password. Nothing was signed.")
        return password

    def clean_code(self) -> str:
        """Refuse a wrong or used code."""
        code = str(self.cleaned_data["code"])
        if not TOTP(self.authenticator).validate_code(code):
            raise forms.ValidationError("This code does not fit. Nothing was signed.")
        return code
