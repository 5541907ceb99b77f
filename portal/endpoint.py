"""The view that every REST endpoint derives from: its organisation is the key's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.idempotency import key_in, once
from portal.people.api_authentication import KeyHolder
from portal.people.roles import Scope
from portal.tenancy.models import Organisation

#: Methods that change something.
UNSAFE = ("post", "put", "patch", "delete")

Handler = Callable[..., Response]


class Endpoint(APIView):
    """A view of the REST API: the key decides the organisation, `scopes` what it may do.

    `scopes` maps each method to the scopes of which one is needed. A method that is not in it is
    refused, so a forgotten one is closed. What changes something needs an `Idempotency-Key`, unless
    the view says that what is sent carries ids of its own.
    """

    access = "anybody"  # the page door stays open: the key is asked for here
    #: What OPTIONS would tell stands in the OpenAPI document.
    http_method_names = [name for name in APIView.http_method_names if name != "options"]
    scopes: dict[str, tuple[Scope, ...]] = {}
    #: False where everything that is sent carries an id of its own (tickets/ingest_api.py).
    needs_idempotency_key = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for method in UNSAFE:
            if method in vars(cls):
                setattr(cls, method, _with_one_effect(vars(cls)[method]))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if any("\x00" in part for part in kwargs.values() if isinstance(part, str)):
            raise NotFound  # no row holds this character, and PostgreSQL refuses to look

    @property
    def organisation(self) -> Organisation:
        """The organisation of the key."""
        return cast("KeyHolder", self.request.user).organisation


def _with_one_effect(handler: Handler) -> Callable[..., HttpResponse | Response]:
    """The handler, run once for each Idempotency-Key."""

    @wraps(handler)
    def answer(
        self: Endpoint, request: Request, *args: Any, **kwargs: Any
    ) -> HttpResponse | Response:
        key = key_in(request, required=self.needs_idempotency_key)
        if key is None:
            return handler(self, request, *args, **kwargs)
        holder = cast("KeyHolder", request.user)
        return once(
            key,
            request,
            holder,
            lambda: handler(self, request, *args, **kwargs),
            at=timezone.now(),
        )

    return answer
