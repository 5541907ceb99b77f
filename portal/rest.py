"""What every REST endpoint shares: scopes, closed filters, cursor pages, problem documents.

The settings name these classes; `portal.endpoint` holds the view that endpoints derive from.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as ImpossibleValue
from django.db import transaction
from django.http import Http404
from django.utils.cache import patch_vary_headers
from django_filters import rest_framework as filters
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import exceptions, serializers, status
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle

from portal import strict_json
from portal.people.api_authentication import KeyHolder

if TYPE_CHECKING:
    # REST framework reads this module while it builds APIView, so it cannot be imported here.
    from rest_framework.views import APIView

log = logging.getLogger(__name__)


def holder_of(request: Request) -> KeyHolder | None:
    """Return whose key came with the call. REST framework's types know people only."""
    caller = cast("object", request.user)
    return caller if isinstance(caller, KeyHolder) else None


class ScopePermission(BasePermission):
    """Asks the key for one of the scopes that the view names for the method."""

    message = "This key has no scope for this call. Nothing was done."

    def has_permission(self, request: Request, view: APIView) -> bool:
        holder = holder_of(request)
        if holder is None:
            return False
        method = "GET" if request.method in ("HEAD", "OPTIONS") else request.method
        needed = getattr(view, "scopes", {}).get(method)
        if needed is None:
            raise exceptions.MethodNotAllowed(str(request.method))
        return any(scope in holder.key.scopes for scope in needed)


class TooLarge(exceptions.APIException):
    """A body is larger than any call may be."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = (
        f"The body is larger than {strict_json.LARGEST // 2**20} MiB. Nothing was done."
    )
    default_code = "too_large"


class JsonParser(BaseParser):
    """Reads a JSON body with the limits of portal/strict_json.py."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        raw = stream.read(strict_json.LARGEST + 1)
        if len(raw) > strict_json.LARGEST:
            raise TooLarge
        try:
            return strict_json.read(raw)
        except strict_json.BadJson as error:
            raise exceptions.ParseError(str(error)) from None


class CloudEventParser(JsonParser):
    """One event in structured mode."""

    media_type = "application/cloudevents+json"


class CloudEventBatchParser(JsonParser):
    """Many events."""

    media_type = "application/cloudevents-batch+json"


class KeyRateThrottle(SimpleRateThrottle):
    """600 calls a minute for each key, counted by each web process."""

    scope = "key"
    rate = "600/min"

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        holder = holder_of(request)
        if holder is None:
            return None
        return f"throttle:{holder.organisation.pk}:{holder.key.pk}"


class ClosedFilterBackend(DjangoFilterBackend):
    """Filters declared field by field; a parameter nobody declared is an error, not ignored."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        declared = set(getattr(self.get_filterset_class(view, queryset), "base_filters", {}))
        refuse_unknown(request, declared | {"cursor", "limit", "format"})
        return super().filter_queryset(request, queryset, view)


@extend_schema_field(OpenApiTypes.BOOL)
class TrueOrFalse(filters.TypedChoiceFilter):
    """A filter by yes or no: what is neither is an error, not ignored."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            choices=[("true", "true"), ("false", "false")], coerce="true".__eq__, **more
        )


def refuse_unknown(request: Request, declared: set[str]) -> None:
    """Raise a 400 that names every query parameter that is not declared, or says nothing."""
    known = f"Unknown parameter; known are {', '.join(sorted(declared))}."
    wrong = {name: [known] for name in sorted(set(request.query_params) - declared)}
    for name, said in request.query_params.items():
        if not said and name != Pages.cursor_query_param:  # an empty cursor is the first page
            wrong.setdefault(name, ["Empty; leave the parameter out to ask for everything."])
    if wrong:
        raise exceptions.ValidationError(wrong)


class ClosedSerializer(serializers.Serializer[Any]):
    """A serializer for writing that refuses fields it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(
                    {name: ["Unknown field; nothing was stored."] for name in unknown}
                )
        return super().to_internal_value(data)


class Pages(CursorPagination):
    """Pages that neither skip nor repeat while new rows arrive."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    ordering: str | tuple[str, ...] = "-id"

    def get_page_size(self, request: Request) -> int | None:
        """Rows of a page. Raises ValidationError for what is no number from 1 to the largest."""
        given = request.query_params.get(self.page_size_query_param, str(self.page_size))
        right = given.isascii() and given.isdecimal() and len(given) < 5
        if not right or not 1 <= int(given) <= self.max_page_size:
            reason = f"A whole number from 1 to {self.max_page_size} is needed."
            raise exceptions.ValidationError({self.page_size_query_param: [reason]})
        return int(given)

    def _get_position_from_instance(self, instance: Any, ordering: Sequence[str]) -> str:
        """Where a row stands; unlike REST framework's own, also by a field of what it refers to."""
        value = instance
        for name in ordering[0].lstrip("-").split("__"):
            value = getattr(value, name)
        return str(value)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """The parameters as OpenAPI tells them, with the bounds of a page."""
        found = super().get_schema_operation_parameters(view)
        for parameter in found:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size}
        return found

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ImpossibleValue, ValueError):
            if self.cursor_query_param not in request.query_params:
                raise
            # a cursor that was made up
            raise exceptions.NotFound(self.invalid_cursor_message) from None


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception into a problem document (RFC 9457); no SQL, path or stack in it."""
    if isinstance(error, Http404):
        error = exceptions.NotFound("There is nothing here, or it is not yours to see.")
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None  # Django answers 500; the middleware rolls everything back
    transaction.set_rollback(True)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": str(error.default_detail),
        "status": error.status_code,
    }
    if isinstance(error, exceptions.ValidationError):
        body["title"] = "The request was refused; nothing was stored."
        body["errors"] = error.get_full_details()
    else:
        body["detail"] = str(error.detail)
    response = Response(body, status=error.status_code, content_type="application/problem+json")
    wait = getattr(error, "wait", None)  # of Throttled, whose types do not name it
    if wait is not None:
        response["Retry-After"] = str(int(wait) + 1)
    if error.status_code == status.HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = getattr(error, "auth_header", "Bearer")
    patch_vary_headers(response, ("Authorization",))
    return response
