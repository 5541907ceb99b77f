"""Survey links: the token that follows from a secret and the message, and the door it opens.

A retry of a mail carries the same link, although only the token's SHA-256 is stored (TRUST.md T10).
"""

from __future__ import annotations

import base64
import hashlib
import uuid

from django.conf import settings
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from portal.tenancy.models import Door

KIND = "survey"


class UnknownLink(Exception):
    """The token opens nothing: mistyped, cut off, deleted, or never given out."""


class LostSecret(Exception):
    """The token of a stored digest cannot be made again: the secret it came from is gone."""


def new_token(message_id: uuid.UUID) -> str:
    """The token of a new message: urlsafe base64 of an HMAC-SHA256, 43 characters."""
    return _token(message_id, settings.SECRET_KEY)


def token_for(message_id: uuid.UUID, stored_digest: bytes) -> str:
    """The token given out for a message before. Raises LostSecret."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        token = _token(message_id, secret)
        if digest(token) == stored_digest:
            return token
    raise LostSecret(
        "SECRET_KEY changed since the link was made and SECRET_KEY_FALLBACKS does not hold the"
        " old one. Add it there and send again."
    )


def digest(token: str) -> bytes:
    """What is stored of a token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


def tenant_of(token: str) -> int:
    """The organisation a token leads to. Raises UnknownLink."""
    tenant_id = (
        Door.objects.filter(digest=digest(token), kind=KIND)
        .values_list("tenant_id", flat=True)
        .first()
    )
    if tenant_id is None:
        raise UnknownLink
    return tenant_id


def nonce(token: str) -> str:
    """What a form posts back to show that its page was opened: there is no cookie to compare."""
    return salted_hmac("surveys.links.nonce", token, algorithm="sha256").hexdigest()


def is_nonce(token: str, value: str) -> bool:
    """Whether a posted nonce belongs to the token."""
    return constant_time_compare(value, nonce(token))


def question_url(token: str, score: int | None = None) -> str:
    """Absolute address of the question, with a choice marked if given."""
    url = settings.PUBLIC_URL + reverse("survey", args=[token])
    return url if score is None else f"{url}?score={score}"


def unsubscribe_url(token: str) -> str:
    """Absolute address where the questions are stopped."""
    return str(settings.PUBLIC_URL) + reverse("survey_unsubscribe", args=[token])


def _token(message_id: uuid.UUID, secret: str) -> str:
    mac = salted_hmac("surveys.links.token", message_id.bytes, secret=secret, algorithm="sha256")
    return base64.urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()
