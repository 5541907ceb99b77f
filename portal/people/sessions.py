"""Session limits: idle and absolute, tighter in the admin (TRUST.md E)."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

STARTED, SEEN = "started_at", "seen_at"


class SessionLimitsMiddleware:
    """Ends a session that was idle or lasted too long, or whose person was disabled."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            now = time.time()
            if is_over(request, now):
                logout(request)
            else:
                request.session.setdefault(STARTED, now)
                # Written once a minute at most: a write for each page would be work for nothing.
                if now - request.session.get(SEEN, 0) > 60:
                    request.session[SEEN] = now
        return self.get_response(request)


def is_over(request: HttpRequest, now: float) -> bool:
    """Whether the session has reached a limit at `now` (seconds since the epoch)."""
    in_admin = "/admin/" in request.path
    idle = settings.ADMIN_SESSION_IDLE_SECONDS if in_admin else settings.SESSION_IDLE_SECONDS
    absolute = (
        settings.ADMIN_SESSION_ABSOLUTE_SECONDS if in_admin else settings.SESSION_ABSOLUTE_SECONDS
    )
    started = request.session.get(STARTED, now)
    return bool(now - request.session.get(SEEN, now) > idle or now - started > absolute)
