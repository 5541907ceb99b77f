"""JSON from outside, read with limits: how large, how deep, and nothing that cannot be stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

#: Bytes of a body, and how deep it may nest (TRUST.md E).
LARGEST = 1024 * 1024
DEEPEST = 20


class BadJson(ValueError):
    """The bytes cannot be used; the message says why in a sentence for the sender."""


def read(raw: bytes, *, any_text: bool = False) -> Any:
    """What the bytes say. Raises BadJson: no JSON, too deep, or holding what cannot be stored.

    With `any_text` texts may hold what no database keeps: whoever asks sees to that.
    """
    try:
        said = json.loads(
            raw.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_without_doubles
        )
    except UnicodeDecodeError:
        raise BadJson("The body is not UTF-8.") from None
    except RecursionError:
        raise BadJson(_TOO_DEEP) from None
    except BadJson:
        raise
    except ValueError as error:
        raise BadJson(f"The body is not JSON: {error}") from None
    _check(said, _any_text if any_text else _check_text)
    return said


_TOO_DEEP = f"The body nests deeper than {DEEPEST} levels."


def _refuse(word: str) -> NoReturn:
    raise BadJson(f"{word} is no number in JSON.")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name that stands in it twice could be read in two ways."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadJson(f"{name[:100]!r} stands twice in one object.")
        found[name] = value
    return found


def _any_text(text: str) -> None:
    """Every text will do."""


def _check(said: Any, check: Callable[[str], None]) -> None:
    waiting = [(said, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST and isinstance(value, dict | list):
            raise BadJson(_TOO_DEEP)
        if isinstance(value, dict):
            for name in value:
                check(name)
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
        elif isinstance(value, str):
            check(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise BadJson("A number is too large.")


def _check_text(text: str) -> None:
    """Databases keep neither the character NUL nor half of a surrogate pair."""
    if "\x00" in text:
        raise BadJson("A text holds the character NUL, which cannot be stored.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise BadJson("A text holds half of a surrogate pair, which is no character.")
