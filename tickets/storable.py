"""Texts from outside as a database keeps them: without NUL, and without half of a surrogate pair.

JSON can say both, and bytes that are read as UTF-8 with an eye shut hold the halves too. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass, replace
from typing import Any

#: Characters PostgreSQL keeps in no text.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
#: How they may stand in the bytes of JSON: as themselves or as escapes.
_SUSPECT = re.compile(rb"\x00|\\u0000|\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")


def is_suspect(raw: bytes) -> bool:
    """Whether JSON may say what no text keeps."""
    return _SUSPECT.search(raw) is not None


def decoded(raw: bytes) -> Any:
    """What JSON says, its texts as they can be kept. Raises ValueError, RecursionError."""
    said = json.loads(raw)
    return storable(said) if is_suspect(raw) else said


def storable(value: Any) -> Any:
    """The value with U+FFFD where its texts hold what cannot be kept; halves that meet are one."""
    if type(value) is str:
        if UNSTORABLE.search(value) is None:
            return value
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {storable(name): storable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(storable(one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{one.name: storable(getattr(value, one.name)) for one in fields(value)}
        )
    return value
