"""Names, addresses and handles of the staff taken out of free text (TRUST.md T14, B2)."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation

_TOKEN = re.compile(r"\w+")
#: What `str.casefold` tells apart and a pattern that ignores case does not: the dotless i, and the
#: dot of a capital I that became two characters.
_ALIKE = str.maketrans({"ı": "i", "\u0307": None})
#: A shorter word names nobody.
_SHORTEST = 3
#: Of so many organisations a process keeps the words.
_KEPT = 8


class Mask:
    """Replaces words of the staff in free text, whatever their case, where they stand alone.

    There may be thousands of them and a page has dozens of texts: a text is searched for the words
    whose first token it holds, mostly none.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._by_token: defaultdict[str, list[str]] = defaultdict(list)
        for word in {_plain(word) for word in words}:
            if len(word) >= _SHORTEST:
                first = _TOKEN.search(word)
                self._by_token[_folded(first.group()) if first else ""].append(word)

    @classmethod
    def of(cls, tenant: Organisation) -> Mask:
        """The mask of an organisation's agents."""
        agents = Person.objects.filter(memberships__tenant=tenant, memberships__role=Role.AGENT)
        return _mask_of(frozenset(agents.values_list("name", "email")))

    def hides_in(self, *texts: str) -> bool:
        """Whether any of the texts names somebody of the staff."""
        return any(self(text) != _plain(text) for text in texts)

    def __call__(self, text: str) -> str:
        plain = _plain(text)
        tokens = {_folded(token) for token in _TOKEN.findall(plain)} | {""}
        found = {word for token in tokens for word in self._by_token.get(token, ())}
        if not found:
            return plain
        # the longest first: an address is one name, not several
        listed = sorted((re.escape(word) for word in found), key=len, reverse=True)
        return re.sub(rf"(?i)\b(?:{'|'.join(listed)})\b", "[name]", plain)


@lru_cache(maxsize=_KEPT)
def _mask_of(agents: frozenset[tuple[str, str]]) -> Mask:
    """The mask of people's names and addresses, and of the parts of both."""
    return Mask(
        word
        for name, email in agents
        for word in (name, email, email.partition("@")[0], *name.split())
    )


def _folded(token: str) -> str:
    """One spelling of all that a pattern takes for the same when it ignores case."""
    return token.casefold().translate(_ALIKE)


def _plain(text: str) -> str:
    """One spelling of a text: compatibility forms folded, no invisible characters."""
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if unicodedata.category(c) != "Cf")
