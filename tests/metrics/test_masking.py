"""The staff's names are taken out of texts, as by one pattern of all of them."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import defaultdict
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import masking
from metrics.masking import Mask, _folded, _plain
from portal.people.models import Membership
from portal.people.roles import Role
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.roles import OWNER, as_role

#: Letters that a pattern takes for another when it ignores case, ends of words, and a mark that is
#: part of none.
LETTERS = "aAsSſiIİıkKKßẞσςΣµμéÉe\u0301\u0307 .-@'_1"


def by_one_pattern(words: set[str], text: str) -> str:
    listed = sorted({re.escape(_plain(word)) for word in words if len(_plain(word)) > 2}, key=len)
    if not listed:
        return _plain(text)
    return re.sub(rf"(?i)\b(?:{'|'.join(reversed(listed))})\b", "[name]", _plain(text))


@given(
    st.sets(st.text(LETTERS, min_size=1, max_size=6), max_size=6),
    st.text(LETTERS, max_size=40),
    st.lists(st.integers(0, 5), max_size=4),
)
def test_a_text_is_masked_as_by_one_pattern_of_all_words(
    words: set[str], text: str, named: list[int]
) -> None:
    listed = sorted(words)
    told = " ".join([text, *(listed[n].swapcase() for n in named if n < len(listed))])
    mask = Mask(words)
    # words of one length are tried in any order: what matters is what is left of the text
    assert mask(told) == by_one_pattern(words, told)
    assert mask.hides_in(told) == (mask(told) != _plain(told))


def test_letters_that_are_the_same_to_a_pattern_are_one() -> None:
    cased = [
        letter
        for letter in map(chr, range(sys.maxunicode + 1))
        if letter.isalnum()
        and unicodedata.normalize("NFKC", letter) == letter
        and (letter.lower() != letter or letter.upper() != letter)
    ]
    every, differ = "".join(cased), defaultdict[str, set[str]](set)
    for letter in cased:
        for same in re.findall(f"(?i){letter}", every):
            if _folded(same) != _folded(letter):
                differ[letter].add(same)
    assert not differ
    assert len(cased) > 2_000


def test_names_addresses_and_handles_of_agents_are_hidden(in_acme: Cast) -> None:
    mask = Mask.of(in_acme.acme)
    agnes = in_acme.agnes
    handle = agnes.email.partition("@")[0]
    assert mask(f"{agnes.name.upper()} ({agnes.email}) was kind, {handle}!") == (
        "[name] ([name]) was kind, [name]!"
    )
    assert not mask.hides_in("Nobody was named.")


def test_whoever_becomes_an_agent_is_hidden_from_then_on(cast: Cast) -> None:
    with acting(cast.acme.pk):
        assert Mask.of(cast.acme)("Rui helped.") == "Rui helped."
    with as_role(OWNER):
        Membership.objects.create(tenant=cast.acme, person=cast.rui, role=Role.AGENT)
    with acting(cast.acme.pk):
        assert Mask.of(cast.acme)("Rui helped.") == "[name] helped."


def test_a_text_is_searched_for_the_words_it_may_hold_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An organisation has thousands of agents, and a page dozens of texts."""
    mask = Mask(f"agent{number}" for number in range(5_000))
    patterns = []
    search = SimpleNamespace(
        sub=lambda pattern, new, text: patterns.append(pattern) or re.sub(pattern, new, text),
        escape=re.escape,
    )
    monkeypatch.setattr(masking, "re", search)
    assert mask("It broke again.") == "It broke again."
    assert patterns == []
    assert mask("Agent17 and agent4000 came.") == "[name] and [name] came."
    assert len(patterns) == 1
    assert len(patterns[0]) < 50
