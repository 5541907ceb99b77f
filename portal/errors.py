"""The pages and documents shown when something went wrong: what happened, what to do."""

from __future__ import annotations

from collections.abc import Callable
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
    503: "This has to wait; nothing of this request was kept",
}


class Busy(Exception):
    """What was asked for has to wait for others; the message says why and what to do instead.

    `wait`: seconds after which it is worth asking again.
    """

    def __init__(self, why: str, *, wait: int) -> None:
        super().__init__(why)
        self.wait = wait


class BusyMiddleware:
    """Answers 503 with `Retry-After` where something has to wait."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer; None for whatever else went wrong."""
        if not isinstance(exception, Busy):
            return None
        response = _answer(request, 503, str(exception))
        response["Retry-After"] = str(exception.wait)
        return response


def _answer(request: HttpRequest, status: int, detail: str = "") -> HttpResponse:
    if request.path.startswith("/api/"):
        told = {"type": "about:blank", "title": _TITLES[status], "status": status}
        return JsonResponse(
            {**told, "detail": detail} if detail else told,
            status=status,
            content_type="application/problem+json",
        )
    set_script_prefix("/")  # the page leads out of the administration, whose addresses it would get
    return render(request, f"{status}.html", {"detail": detail}, status=status)


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
