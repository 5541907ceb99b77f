"""One HTTP session a connection: the right host only, patient with limits, plain about trouble.

No redirect is followed and no address outside the connection's own host is asked: a page's `next`
link may name another host, and credentials must not go there. Retry-After is respected; what does
not work ends as one sentence for a person.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from tickets.connectors.reaching import Network, NotAllowed, Reaching

CONNECT_SECONDS, READ_SECONDS = 5, 30
#: The longest that one answer may take to arrive whole.
ANSWER_SECONDS = 120.0
#: The longest pause that is waited out here; a longer one ends the pull, and the next goes on.
LONGEST_WAIT = 60.0
TRIES = 4
#: Requests after which something must have come whole: some lists have no end.
MOST_REQUESTS = 5_000
#: The status of “ask less often”.
LIMITED = 429
#: GitHub says the same with the status of “you may not”, and headers.
FORBIDDEN = 403
#: Whose headers say when a limit is over and how much of it is left: after each of these names.
_LIMITS = ("ratelimit-", "rate-limit-", "x-ratelimit-", "x-rate-limit-")
#: A reset in seconds since 1970 is none of so many seconds from now.
_AN_INSTANT = 1_000_000_000
#: The longest a help desk's word is taken for: a day. It says more by mistake only.
MOST_PATIENCE = 24 * 3600.0
#: The largest page that is taken.
LARGEST = 32 * 1024 * 1024
#: What another try may mend: the way was cut, at the latest within the answer.
_PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class HttpTrouble(Exception):
    """The help desk could not be asked; the message says what happened and what to do."""

    def __init__(
        self, message: str, *, retry_after: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        #: Seconds after which it may be tried again, where the help desk said so.
        self.retry_after = retry_after
        #: The answer's status, where there was an answer.
        self.status = status


@dataclass(frozen=True, slots=True)
class Budget:
    """How often some paths may be asked: the help desk refuses more."""

    prefix: str
    a_minute: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A page as it came."""

    raw: bytes
    headers: Mapping[str, str]
    status: int

    def json(self) -> Any:
        """The page as JSON. Raises HttpTrouble where it is none, or deeper than anybody means."""
        try:
            return json.loads(self.raw)
        except (ValueError, RecursionError):
            raise HttpTrouble(
                "The address answered, but not with JSON: is it the help desk's API?"
            ) from None


class Http:
    """Asks one help desk."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        budgets: Sequence[Budget] = (),
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        session: requests.Session | None = None,
    ) -> None:
        self.base = urlsplit(base_url)
        if self.base.scheme not in ("https", "http") or not self.base.hostname:
            raise HttpTrouble(f"{base_url!r} is no address such as https://desk.example.org.")
        self._sleep, self._clock = sleep, clock
        self._budgets = {budget: deque[float](maxlen=budget.a_minute) for budget in budgets}
        self._lists: dict[str, Answer | HttpTrouble] = {}
        self._requests = 0
        #: When the help desk's own limit lets us ask again; None: it is not known to be used up.
        self._free_at: float | None = None
        self._session = session or requests.Session()
        self._session.trust_env = False
        self.reach(())
        self._session.headers.update(
            {"Accept": "application/json", "User-Agent": "wellserved", **(headers or {})}
        )
        if auth is not None:
            self._session.auth = auth

    def reach(self, networks: Sequence[Network]) -> None:
        """Let the help desk be in one of these networks too, not on the internet only."""
        self._reaching = Reaching(networks)
        self._session.mount("https://", self._reaching)
        self._session.mount("http://", self._reaching)

    def went_on(self) -> None:
        """Count requests anew: something has come whole, or something else is asked for."""
        self._requests = 0

    def close(self) -> None:
        """Close its connections; asked again, it opens new ones."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Ask for a path of the host, or for a link of a page, whose host must be the same.

        Raises HttpTrouble after patient tries.
        """
        return self._ask("GET", path, params=params)

    def once(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """As `get`, but asked once a session: lists that only say what others' numbers are called.

        Raises HttpTrouble, the same each time where the help desk has no such list.
        """
        key = f"{path} {sorted((params or {}).items())}"
        if key not in self._lists:
            try:
                self._lists[key] = self.get(path, params)
            except HttpTrouble as trouble:
                if trouble.status not in (403, 404):
                    raise
                self._lists[key] = trouble
        found = self._lists[key]
        if isinstance(found, HttpTrouble):
            raise found
        return found

    def post(self, path: str, body: Any) -> Answer:
        """Send JSON to a path that only reads (a bulk fetch). Raises HttpTrouble."""
        return self._ask("POST", path, json=body)

    def url(self, path: str) -> str:
        """The address of a path or link at the connection's own host, whatever host a link names.

        Help desks name their pods or former names in `next` links: the path is kept, the host is
        not. A link with another scheme than the web's is refused.
        """
        link = urlsplit(path)
        if link.scheme and link.scheme not in ("https", "http"):
            raise HttpTrouble(f"A link of the help desk is not of the web: {path[:100]!r}.")
        prefix = self.base.path.rstrip("/")
        own = link.path if link.path.startswith("/") else f"/{link.path}"
        if not link.netloc and prefix:
            own = f"{prefix}{own}"
        return urlunsplit((self.base.scheme, self.base.netloc, own, link.query, ""))

    def _ask(self, method: str, path: str, **given: Any) -> Answer:
        url = self.url(path)
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            raise HttpTrouble(_endless(self.base.netloc))
        for attempt in range(1, TRIES + 1):
            self._keep_budgets(urlsplit(url).path)
            self._keep_limit()
            try:
                with (
                    self._reaching.at_most(ANSWER_SECONDS),
                    self._session.request(
                        method,
                        url,
                        timeout=(CONNECT_SECONDS, READ_SECONDS),
                        allow_redirects=False,
                        stream=True,
                        **given,
                    ) as response,
                ):
                    raw = _read(response)
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    status = response.status_code
                if self._reaching.was_cut:  # an answer without a length ends where it is cut
                    raise HttpTrouble(_too_long(self.base.netloc))
            except NotAllowed as error:
                raise HttpTrouble(_not_allowed(self.base.netloc)) from error
            except requests.RequestException as error:
                if self._reaching.was_cut:
                    raise HttpTrouble(_too_long(self.base.netloc)) from error
                if attempt == TRIES or not isinstance(error, _PASSING):
                    raise HttpTrouble(_cannot_reach(self.base.netloc, error)) from error
                self._sleep(2.0**attempt)
                continue
            if status < 300:
                self._note_limit(headers)
                return Answer(raw, headers, status)
            if status == FORBIDDEN and _is_limit(headers):
                status = LIMITED
            wait = _wait(headers, status, attempt) if status == LIMITED or status >= 500 else None
            if wait is None or attempt == TRIES or wait > LONGEST_WAIT:
                raise HttpTrouble(_said(status, self.base.netloc), retry_after=wait, status=status)
            self._sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _keep_budgets(self, path: str) -> None:
        """Wait until a path may be asked again: no more than so often within any 60 seconds."""
        for budget, asked in self._budgets.items():
            if not path.startswith(budget.prefix):
                continue
            if len(asked) == budget.a_minute and (wait := asked[0] + 60 - self._clock()) > 0:
                self._sleep(wait)
            asked.append(self._clock())

    def _note_limit(self, headers: Mapping[str, str]) -> None:
        """Keep until when nothing more is left, where the help desk says both."""
        seconds = _reset(headers) if _used_up(headers) else None
        self._free_at = None if seconds is None else self._clock() + seconds

    def _keep_limit(self) -> None:
        """Do not ask for what is known to be refused. Raises HttpTrouble where that is long."""
        wait = 0.0 if self._free_at is None else self._free_at - self._clock()
        if wait > LONGEST_WAIT:
            raise HttpTrouble(_said(LIMITED, self.base.netloc), retry_after=wait, status=LIMITED)
        if wait > 0:
            self._sleep(wait)


def _read(response: requests.Response) -> bytes:
    raw = bytearray()
    for part in response.iter_content(64 * 1024):
        raw += part
        if len(raw) > LARGEST:
            raise HttpTrouble(
                f"A page is larger than {LARGEST // 2**20} MiB; nothing of it was kept. Ask for"
                " fewer items a page in the connection's options."
            )
    return bytes(raw)


def _wait(headers: Mapping[str, str], status: int, attempt: int) -> float:
    """Seconds to wait: as the help desk says, else longer with every try."""
    said = _seconds(headers.get("retry-after", ""))
    if said is None and status == LIMITED:
        said = _reset(headers)  # they stand on every answer: of a failure they say nothing
    return 2.0**attempt if said is None else said


def _is_limit(headers: Mapping[str, str]) -> bool:
    """Whether a refusal is only for now, as GitHub means it."""
    return bool(headers.get("retry-after")) or _used_up(headers)


def _used_up(headers: Mapping[str, str]) -> bool:
    """Whether the help desk says that nothing of a limit is left."""
    return any(headers.get(f"{limit}remaining") == "0" for limit in _LIMITS)


def _reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit is whole again; None where that is not told."""
    told = (_seconds(headers.get(f"{limit}reset", "")) for limit in _LIMITS)
    return next((seconds for seconds in told if seconds is not None), None)


def _seconds(said: str) -> float | None:
    """Seconds from now, at most `MOST_PATIENCE`: from seconds, seconds since 1970 or an instant.

    An instant without a zone is one of UTC. None for what is none of these.
    """
    now = datetime.now(UTC)
    if said.isdecimal():
        seconds = float(said)
        seconds -= now.timestamp() if seconds >= _AN_INSTANT else 0
    else:
        try:
            at = _instant(said)
        except (ValueError, OverflowError):
            return None
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(0.0, seconds), MOST_PATIENCE)


def _instant(said: str) -> datetime:
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        return email.utils.parsedate_to_datetime(said)


def _cannot_reach(host: str, error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        kind = "did not answer in time"
    elif isinstance(error, requests.ConnectionError):
        kind = "cannot be reached"
    elif isinstance(error, _PASSING):
        return f"{host} broke off within its answer: the pull is tried again later."
    else:
        return f"{host} cannot be asked ({type(error).__name__}): check what was entered."
    return f"{host} {kind}. Check the address, and that this machine may reach it."


def _not_allowed(host: str) -> str:
    return (
        f"{host} is no machine of the internet, and nobody has allowed its network: whoever"
        " operates this installation names it in HELP_DESK_NETWORKS (docs/operations.md)."
    )


def _too_long(host: str) -> str:
    return f"{host} took longer than {ANSWER_SECONDS:.0f} seconds for an answer: it was cut off."


def _endless(host: str) -> str:
    return (
        f"{host} has answered {MOST_REQUESTS:,} times, and nothing came of it whole: its lists have"
        " no end. Is something between it and us that answers everything alike?"
    )


def _said(status: int, host: str) -> str:
    """What a refusal means to an administrator."""
    if status in (301, 302, 303, 307, 308):
        return f"{host} sends us elsewhere ({status}): enter the address it has moved to."
    if status == 401:
        return f"{host} does not know these credentials (401): enter them again."
    if status == 403:
        return f"{host} knows us but does not let us read this (403): see the rights it needs."
    if status == 404:
        return f"{host} has nothing at this address (404): check the address."
    if status == LIMITED:
        return f"{host} asks us to slow down (429): the pull goes on later."
    return f"{host} answered {status}: the pull is tried again later."
