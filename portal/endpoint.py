"""The view that every REST endpoint derives from: its organisation is the key's."""

from __future__ import annotations

from typing import cast

from rest_framework.views import APIView

from portal.people.api_authentication import KeyHolder
from portal.people.roles import Scope
from portal.tenancy.models import Organisation


class Endpoint(APIView):
    """A view of the REST API: the key decides the organisation, `scopes` what it may do.

    `scopes` maps each method to the scopes of which one is needed. A method that is not in it is
    refused, so a forgotten one is closed.
    """

    access = "anybody"  # the page door stays open: the key is asked for here
    scopes: dict[str, tuple[Scope, ...]] = {}

    @property
    def organisation(self) -> Organisation:
        """The organisation of the key."""
        return cast("KeyHolder", self.request.user).organisation
