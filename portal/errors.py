"""The pages and documents shown when something went wrong: what happened, what to do."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import set_script_prefix

from portal.organisations import anybody

_TITLES = {
    400: "The request could not be understood",
    403: "This is not open to you",
    404: "There is nothing here, or it is not yours to see",
    500: "Something failed here; nothing of this request was kept",
}


def _answer(request: HttpRequest, status: int) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse(
            {"type": "about:blank", "title": _TITLES[status], "status": status},
            status=status,
            content_type="application/problem+json",
        )
    set_script_prefix("/")  # the page leads out of the administration, whose addresses it would get
    return render(request, f"{status}.html", status=status)


@anybody
def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """400: malformed."""
    return _answer(request, 400)


@anybody
def permission_denied(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """403: a form without its token, mostly."""
    return _answer(request, 403)


@anybody
def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """404: the same answer for what does not exist and for what belongs to others."""
    return _answer(request, 404)


@anybody
def server_error(request: HttpRequest) -> HttpResponse:
    """500: the request was rolled back."""
    return _answer(request, 500)
