"""What exactly is signed: canonical JSON of the terms, and its SHA-256 (TRUST.md D). Pure.

Terms hold what changes the number (the definition's version, the calendar's weekly hours and zone),
not its wording and not single holidays: an editorial change unsigns nothing.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

PREFIX = b"target-terms/v1\n"


class FloatInTerms(TypeError):
    """A binary fraction has no one spelling; write numbers as decimal strings."""


def canonical(terms: Mapping[str, Any]) -> str:
    """One spelling of the terms: NFC, sorted keys, no blanks. Raises FloatInTerms."""
    return json.dumps(_plain(terms), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest(text: str) -> bytes:
    """SHA-256 of canonical terms."""
    return hashlib.sha256(PREFIX + text.encode()).digest()


def sheet_digest(own_terms: str, targets: Iterable[bytes]) -> bytes:
    """The digest of a sheet: its own terms, and the digests of its targets in order."""
    return hashlib.sha256(PREFIX + own_terms.encode() + b"\n" + b"".join(targets)).digest()


def sentence_digest(sentence: str) -> bytes:
    """SHA-256 of the sentence shown to a signer."""
    return hashlib.sha256(sentence.encode()).digest()


def spelled(text: str) -> str:
    """Text as terms spell it: NFC."""
    return unicodedata.normalize("NFC", text)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        raise FloatInTerms(f"{value!r} stands in the terms; write it as a decimal string.")
    if isinstance(value, str):
        return spelled(value)
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
