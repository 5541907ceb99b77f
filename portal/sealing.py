"""Sealing secrets that must be read again: AES-GCM with a key that is not in the database.

A sealed value begins with the name of its key, so keys can be changed one after the other
(CREDENTIAL_KEYS, docs/operations.md). What it belongs to is sealed in: a value copied to another
row does not open.
"""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE = 12


class CannotOpen(ValueError):
    """A sealed value does not open: its key is gone, or it was changed or moved."""


def seal(secret: str, *, belongs_to: str) -> bytes:
    """Seal a secret with the first key. `belongs_to` names its row and must be given to open it."""
    name, key = next(iter(_keys().items()))
    nonce = secrets.token_bytes(_NONCE)
    sealed = AESGCM(key).encrypt(nonce, secret.encode(), belongs_to.encode())
    return name.encode() + b":" + nonce + sealed


def open_sealed(sealed: bytes, *, belongs_to: str) -> str:
    """Return the secret. Raises CannotOpen."""
    name, _, rest = bytes(sealed).partition(b":")
    key = _keys().get(name.decode("utf-8", "replace"))
    if key is None:
        raise CannotOpen(
            f"The key {name[:20]!r} is not among CREDENTIAL_KEYS; enter the secret again."
        )
    try:
        opened = AESGCM(key).decrypt(rest[:_NONCE], rest[_NONCE:], belongs_to.encode())
    except InvalidTag:
        raise CannotOpen("The sealed value was changed or moved; enter the secret again.") from None
    return opened.decode()


def _keys() -> dict[str, bytes]:
    """Keys by name, the one in force first; without any, one derived from SECRET_KEY."""
    named = [entry.partition(":") for entry in settings.CREDENTIAL_KEYS]
    keys = {name: base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)) for name, _, key in named}
    if keys:
        return keys
    derived = HKDF(SHA256(), 32, salt=None, info=b"wellserved credentials")
    return {"secret_key": derived.derive(settings.SECRET_KEY.encode())}
