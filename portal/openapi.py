"""What the OpenAPI document says of every endpoint alike: problems, and Idempotency-Key."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from portal.idempotency import HEADER, LONGEST

#: A problem document (RFC 9457) as portal/rest.py writes it.
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457); nothing was stored.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "object",
            "additionalProperties": {},
            "description": "by field, what is wrong with it",
        },
    },
    "required": ["type", "title", "status"],
}
_EVERY = {"400": "refused", "404": "not there, or not yours", "406": "no such representation"}
_WITH_KEY = {
    "401": "no key, or none that is alive",
    "403": "the key has no scope for this",
    "429": "too many calls; `Retry-After` says when to go on",
    "503": "another large question is being answered; `Retry-After` says when to go on",
}
_UNSAFE = {
    "409": "a call with this Idempotency-Key is still at work, or it contradicts what is stored",
    "413": "the body is too large",
    "415": "the body is no JSON",
    "422": "the Idempotency-Key came before with another call",
}


def problem(code: int, meaning: str) -> dict[tuple[int, str], OpenApiResponse]:
    """A refusal of one operation, besides those that all have."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {(code, "application/problem+json"): OpenApiResponse(schema, meaning)}


class EndpointSchema(AutoSchema):
    """An endpoint's operations with the header that every one has which changes something."""

    def get_override_parameters(self) -> list[Any]:
        """The parameters an operation names itself, and the Idempotency-Key."""
        found = list(super().get_override_parameters())
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            found.append(
                OpenApiParameter(
                    HEADER,
                    {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[ -~]+$"},
                    OpenApiParameter.HEADER,
                    required=getattr(self.view, "needs_idempotency_key", False),
                    description="The same key and call within 24 hours get the same answer again.",
                )
            )
        return found


def tell_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to every operation what all of them refuse (a hook of drf-spectacular)."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for operations in result["paths"].values():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                _say_not_empty(parameter)
            problems = dict(_EVERY)
            if operation.get("security"):
                problems |= _WITH_KEY
            if method in ("post", "put", "patch", "delete"):
                problems |= _UNSAFE
            for code, meaning in problems.items():
                operation["responses"].setdefault(code, _problem(meaning))
            body = operation.get("requestBody")
            if body is not None:
                body["required"] = True
                for content in body["content"].values():
                    content["schema"] = _named(content["schema"], schemas)
    return result


def _named(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema with each part that has a title as a component of that name, told once."""
    if "items" in schema:
        return {**schema, "items": _named(schema["items"], schemas)}
    if "title" not in schema:
        parts = [_named(part, schemas) for part in schema.get("oneOf", ()) if "type" in part]
        return {**schema, "oneOf": parts} if parts else schema
    schemas[schema["title"]] = schema
    return {"$ref": f"#/components/schemas/{schema['title']}"}


def _problem(meaning: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": meaning, "content": {"application/problem+json": {"schema": schema}}}


def _say_not_empty(parameter: dict[str, Any]) -> None:
    """Query parameters may be left out, and not be empty (portal.rest.refuse_unknown)."""
    schema = parameter["schema"]
    if (
        parameter["in"] == "query"
        and parameter["name"] != "cursor"
        and schema.get("type") == "string"
        and "enum" not in schema
    ):
        schema.setdefault("minLength", 1)
