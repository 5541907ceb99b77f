"""How the REST API knows who calls: a bearer key, whose organisation becomes the context."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from portal.people.api_keys import UnusableKey, tenant_of, use_key
from portal.people.models import ApiKey
from portal.tenancy import context
from portal.tenancy.models import Organisation


class KeyHolder:
    """The caller of the API: an external tool holding a key."""

    is_authenticated = True

    def __init__(self, key: ApiKey, organisation: Organisation) -> None:
        self.key = key
        self.organisation = organisation
        self.pk = key.pk


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer qp_…`; enters the acting context of the key's organisation."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, ApiKey] | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise AuthenticationFailed("Send the key as 'Authorization: Bearer <key>'.")
        try:
            tenant_id = tenant_of(secret.strip())
            context.enter(tenant_id)
            key = use_key(secret.strip(), at=timezone.now())
        except UnusableKey:
            raise AuthenticationFailed(
                "This key is unknown, revoked or expired. Nothing was done."
            ) from None
        return KeyHolder(key, Organisation.objects.get(pk=tenant_id)), key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the key in the OpenAPI document."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A key made in the admin."}
