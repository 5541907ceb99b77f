"""The spelling that is signed: one for the same terms, another for any other."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import terms

#: What terms are made of: text, whole numbers, nothing, and lists and mappings of these.
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
mappings = st.dictionaries(st.text(max_size=8), values, max_size=6)


def test_terms_are_spelled_sorted_without_blanks_in_their_own_letters() -> None:
    spelled = terms.canonical({"b": [1, None], "a": "Büro", "c": {"z": "1.50", "y": True}})
    assert spelled == '{"a":"Büro","b":[1,null],"c":{"y":true,"z":"1.50"}}'


def test_the_digest_is_of_the_prefix_and_the_terms() -> None:
    # printf 'target-terms/v1\n{"a":"1"}' | sha256sum
    known = "8363f59c7d6bbbd70756406b001adf27d0ad4e1b72f405e58a362a48417d6927"
    assert terms.digest('{"a":"1"}').hex() == known
    assert terms.digest('{"a":"1"}') != hashlib.sha256(b'{"a":"1"}').digest()


def test_a_sheets_digest_covers_its_targets_in_their_order() -> None:
    first, second = terms.digest("{}"), terms.digest("[]")
    signed = terms.sheet_digest("{}", [first, second])
    assert signed != terms.sheet_digest("{}", [second, first])
    assert signed != terms.sheet_digest("{}", [first])
    assert signed != terms.sheet_digest("{ }", [first, second])
    assert signed == terms.sheet_digest("{}", iter([first, second]))


@pytest.mark.parametrize("place", [0.9, [0.9], {"deep": [{"er": 1.0}]}, float("nan")])
def test_a_binary_fraction_is_refused_wherever_it_stands(place: object) -> None:
    with pytest.raises(terms.FloatInTerms, match="decimal string"):
        terms.canonical({"value": place})
    assert terms.canonical({"value": "0.9"}) == '{"value":"0.9"}'


@given(mappings)
def test_order_and_composition_of_letters_change_nothing(said: dict[str, object]) -> None:
    turned = {name: said[name] for name in reversed(said)}
    taken_apart = {unicodedata.normalize("NFD", name): value for name, value in turned.items()}
    if len(taken_apart) == len({unicodedata.normalize("NFC", name) for name in said}):
        assert terms.canonical(taken_apart) == terms.canonical(said)
    assert terms.canonical(turned) == terms.canonical(said)


plain = st.text(st.characters(codec="ascii"), max_size=8)
plain_mappings = st.dictionaries(plain, plain | st.integers() | st.lists(plain, max_size=3))


@given(plain_mappings, plain_mappings)
def test_other_terms_have_another_digest(said: dict[str, object], other: dict[str, object]) -> None:
    same = terms.digest(terms.canonical(said)) == terms.digest(terms.canonical(other))
    assert same is (said == other)
