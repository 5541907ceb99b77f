"""Is a webhook's request authentic? One scheme a vendor, over the raw bytes, in constant time.

INGEST.md 2. A scheme is given every secret that is accepted now (two while one is being changed)
and the moment of receipt; timestamped schemes accept five minutes either way.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(minutes=5)

Headers = Mapping[str, str]
"""Header names in lower case."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one kind of sender signs: `verify(headers, raw, secrets, at)`."""

    name: str
    verify: Callable[[Headers, bytes, Sequence[str], datetime], bool]
    #: Said on the page where a scheme is weak: SHA-1, a token that is sent as it is.
    weakness: str = ""


def same(one: bytes, other: bytes) -> bool:
    """Whether two values are equal, told in constant time."""
    return hmac.compare_digest(one, other)


def among(given: Iterable[bytes], accepted: Iterable[bytes]) -> bool:
    """Whether one value is among the accepted ones; every pair is compared, whatever matches."""
    pairs = [(one, other) for one in given for other in accepted]
    return sum(same(one, other) for one, other in pairs) > 0


def hex_digest(header: str, prefix: str, algorithm: str = "sha256") -> Callable[..., bool]:
    """A verifier of `<prefix><hex HMAC of the raw body>` in a header."""

    def verify(headers: Headers, raw: bytes, secrets: Sequence[str], at: datetime) -> bool:
        given = headers.get(header, "")
        if not given.startswith(prefix):
            return False
        digests = [hmac.new(s.encode(), raw, algorithm).hexdigest() for s in secrets]
        return among([given[len(prefix) :].encode()], [d.encode() for d in digests])

    return verify


def fresh(seconds: float | None, at: datetime) -> bool:
    """Whether a timestamp (unix seconds) is within five minutes of the receipt."""
    return seconds is not None and abs(at.timestamp() - seconds) <= TOLERANCE.total_seconds()


def _plain_token(header: str) -> Callable[..., bool]:
    def verify(headers: Headers, raw: bytes, secrets: Sequence[str], at: datetime) -> bool:
        given = headers.get(header, "").encode()
        return bool(given) and among([given], [s.encode() for s in secrets])

    return verify


def _zendesk(headers: Headers, raw: bytes, secrets: Sequence[str], at: datetime) -> bool:
    """Base64 HMAC-SHA256 of timestamp and body, joined without a separator.

    Compared as text: base64 has several spellings of one digest, and a signature only one.
    """
    stamp = headers.get("x-zendesk-webhook-signature-timestamp", "")
    given = headers.get("x-zendesk-webhook-signature", "")
    signed = stamp.encode() + raw
    digests = [base64.b64encode(hmac.digest(s.encode(), signed, "sha256")) for s in secrets]
    return fresh(_instant(stamp), at) and among([given.encode()], digests)


def _chatwoot(headers: Headers, raw: bytes, secrets: Sequence[str], at: datetime) -> bool:
    """`sha256=<hex HMAC of "timestamp.body">`."""
    stamp = headers.get("x-chatwoot-timestamp", "")
    signed = stamp.encode() + b"." + raw
    verify = hex_digest("x-chatwoot-signature", "sha256=")
    return fresh(_number(stamp), at) and verify(headers, signed, secrets, at)


def _standard(headers: Headers, raw: bytes, secrets: Sequence[str], at: datetime) -> bool:
    """Standard Webhooks: `v1,<base64 HMAC of "id.timestamp.body">`, several while keys change."""
    stamp = headers.get("webhook-timestamp", "")
    signed = b".".join((headers.get("webhook-id", "").encode(), stamp.encode(), raw))
    digests = [
        b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256")) for key in _keys(secrets)
    ]
    given = headers.get("webhook-signature", "").encode().split()
    return bool(headers.get("webhook-id")) and fresh(_number(stamp), at) and among(given, digests)


def _keys(secrets: Sequence[str]) -> list[bytes]:
    """The keys of Standard Webhooks' secrets; what is not base64 can sign nothing."""
    keys = []
    for secret in secrets:
        try:
            keys.append(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
        except ValueError:  # a GitLab token, for example
            continue
    return [key for key in keys if key]


def _gitlab(headers: Headers, raw: bytes, secrets: Sequence[str], at: datetime) -> bool:
    """A signature where it sends one; else its token as it is."""
    if "webhook-signature" in headers:
        return _standard(headers, raw, secrets, at)
    return _plain_token("x-gitlab-token")(headers, raw, secrets, at)


def _instant(text: str) -> float | None:
    """Unix seconds of an ISO 8601 instant with `Z` or an offset; None: it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.timestamp()


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 15 else None


ZENDESK = Scheme("Zendesk signature", _zendesk)
JIRA = Scheme("X-Hub-Signature", hex_digest("x-hub-signature", "sha256="))
ZAMMAD = Scheme(
    "X-Hub-Signature (SHA-1)",
    hex_digest("x-hub-signature", "sha1=", "sha1"),
    "signed with SHA-1, which is all that Zammad offers",
)
GITHUB = Scheme("X-Hub-Signature-256", hex_digest("x-hub-signature-256", "sha256="))
GITLAB = Scheme("GitLab token or signature", _gitlab, "a token is sent as it is: use HTTPS")
CHATWOOT = Scheme("X-Chatwoot-Signature", _chatwoot)
STANDARD = Scheme("Standard Webhooks", _standard)

#: The shortest secret that is taken: shorter ones can be tried out.
SHORTEST = 16


def unfit(secret: str, scheme: Scheme) -> str:
    """Why a secret cannot be used with a scheme, in one sentence; empty: it can."""
    if not SHORTEST <= len(secret) <= 500 or not secret.isprintable():
        return f"A signing secret has {SHORTEST} to 500 characters that can be printed."
    if scheme is STANDARD and not _keys([secret]):
        return "This secret is base64, mostly beginning with whsec_."
    return ""
