"""A help desk in memory for connector tests: answers by path, notes what was asked, never sleeps.

A `Desk` is mounted below a real `requests` session, so a connector's own headers, credentials,
retries and pauses run as they are; nothing leaves the process. `open_http` opens a connector's
session on it. Time is the desk's: pauses pass at once and are noted in `slept`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter

from tickets.connectors.base import Connector, Page, in_known_shape
from tickets.connectors.http import Http

BASE_URL = "https://desk.example.org"
#: A connector that has asked this often does not end.
MOST_REQUESTS = 2_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the desk saw it."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    #: The desk's time in seconds.
    at: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: JSON, or bytes as they are; or a failure to raise instead."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    failure: Exception | None = None

    @property
    def raw(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()


#: What becomes of a request: the same reply each time, or one made for it.
Answer = Reply | Mapping[str, Any] | list[Any] | Callable[[Asked], Any]

NOT_FOUND = Reply({"error": "RecordNotFound"}, 404)
NO_JSON = Reply(b"<!doctype html><title>Sign in</title>", 200, {"Content-Type": "text/html"})
TIMED_OUT = Reply(failure=requests.Timeout("read timed out"))


class Desk(BaseAdapter):
    """Answers requests by their path (a whole regular expression), the first match first."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: list[tuple[re.Pattern[str], Answer]] = []
        #: Replies given before any other, one a request.
        self.first: list[Reply] = []
        #: The reply to everything, where the desk is to fail altogether.
        self.always: Reply | None = None
        self.asked: list[Asked] = []
        self.slept: list[float] = []
        self.time = 0.0

    def on(self, path: str, answer: Answer) -> Desk:
        """Answer a path; returns the desk, to be told more."""
        self.routes.append((re.compile(path), answer))
        return self

    def before(self, path: str, answer: Answer) -> Desk:
        """Answer a path otherwise than it was told to."""
        self.routes.insert(0, (re.compile(path), answer))
        return self

    def sleep(self, seconds: float) -> None:
        """What a connector does while it waits."""
        self.slept.append(seconds)
        self.time += seconds

    def clock(self) -> float:
        """Seconds of the desk's time."""
        return self.time

    @property
    def hosts(self) -> set[str]:
        """Everybody who was asked."""
        return {asked.host for asked in self.asked}

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        link = urlsplit(str(request.url))
        body = request.body or b""
        asked = Asked(
            str(request.method),
            link.netloc,
            link.path,
            dict(parse_qsl(link.query, keep_blank_values=True)),
            {name.lower(): value for name, value in request.headers.items()},
            body if isinstance(body, bytes) else str(body).encode(),
            self.time,
        )
        self.asked.append(asked)
        assert len(self.asked) <= MOST_REQUESTS, f"it does not end: {asked.path} {asked.query}"
        reply = self._reply(asked)
        if reply.failure is not None:
            raise reply.failure
        response = requests.Response()
        response.status_code = reply.status
        response.headers.update({"Content-Type": "application/json", **reply.headers})
        response.raw = BytesIO(reply.raw)
        response.url, response.request = str(request.url), request
        return response

    def _reply(self, asked: Asked) -> Reply:
        if self.first:
            return self.first.pop(0)
        if self.always is not None:
            return self.always
        for path, answer in self.routes:
            if path.fullmatch(asked.path):
                made = answer(asked) if callable(answer) else answer
                return made if isinstance(made, Reply) else Reply(made)
        return NOT_FOUND

    def close(self) -> None:
        """Nothing is held."""


def open_http(
    connector: Connector,
    desk: Desk,
    *,
    secrets: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    base_url: str = BASE_URL,
) -> Http:
    """The connector's own session, on the desk and its time."""
    http = connector.http(base_url, secrets or {}, options or {})
    http._session.mount("https://", desk)
    http._session.mount("http://", desk)
    http._sleep, http._clock = desk.sleep, desk.clock
    return http


def pulled(
    connector: Connector,
    http: Http,
    now: datetime,
    *,
    cursor: dict[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    stop_after: int | None = None,
) -> tuple[list[Page], dict[str, Any]]:
    """Pages of a pull, and the cursor as it is committed with the last of them.

    `stop_after` ends the pull behind that many pages, as a killed worker would.
    """
    pages: list[Page] = []
    stands = json.loads(json.dumps(cursor or {}))
    if stop_after == 0:
        return pages, stands
    told = connector.pull(http, dict(stands), options=options or {}, now=now)
    for page in in_known_shape(told):
        pages.append(page)
        # Through JSON, as the database keeps it.
        stands = json.loads(json.dumps({**stands, page.stream: dict(page.cursor)}))
        if len(pages) == stop_after:
            break
    return pages, stands


def pages_of(items: Iterable[Any], size: int) -> list[list[Any]]:
    """Items in pages of a size; at least one page, which may be empty."""
    found = list(items)
    return [found[at : at + size] for at in range(0, len(found), size)] or [[]]
