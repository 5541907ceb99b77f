"""Themes of comments: suggested by a worker, confirmed by whose service it is, counted then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client

from metrics import columns
from metrics.columns import THEMES
from metrics.evidence import beside
from metrics.measure import Reader, Slice
from portal.audit.models import AuditEntry
from portal.tenancy.context import acting
from surveys import themes
from surveys.models import Answer, Comment, Theme
from tests import roles
from tests.factories import Cast
from tests.metrics.told import APRIL, HOUR, MARCH, MAY, asked, commented, load, plain, read

PAGE = "/acme/voice/themes/"
SLOW = "It took too long until you answered me."
KIND = "They were so friendly to me, thank you!"


@pytest.fixture
def olga(cast: Cast, client: Client) -> Client:
    client.force_login(cast.olga)
    return client


def sweep(cast: Cast) -> int:
    """Let the worker suggest, an hour after the batch was released."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Answer.objects.update(released_at=MAY - HOUR)
    with roles.as_role(roles.WORKER):
        return themes.sweep(MAY)


def wrote(cast: Cast, *comments: tuple[int, str]) -> None:
    for score, text in comments:
        commented(cast, score, text)


@pytest.fixture
def slow(cast: Cast) -> Cast:
    """Twelve comments on waiting, ten of them dissatisfied, and eight friendly ones."""
    wrote(cast, *[(1, SLOW)] * 10, *[(5, SLOW)] * 2, *[(5, KIND)] * 8)
    assert sweep(cast) >= 2
    return cast


def theme(cast: Cast, name: str) -> Theme:
    with acting(cast.acme.pk):
        return Theme.objects.get(name=name)


def send(client: Client, one: Theme, do: str = "confirm", name: str | None = None) -> Any:
    return client.post(PAGE, {"theme": one.pk, "do": do, "name": name or one.name})


def told(cast: Cast, view: str = "share") -> Any:
    return read(cast, f"comment_themes.{view}", capability=cast.network)


def test_nothing_counts_before_a_person_confirmed_it_and_then_at_once(
    slow: Cast, olga: Client
) -> None:
    before = told(slow)
    assert before.value is None
    assert "no person has confirmed a theme" in before.sentence
    assert send(olga, theme(slow, "Waiting time")).status_code == 302
    after = told(slow)
    assert (after.numerator, after.denominator) == (12, 20)
    assert after.beside == {"theme: Waiting time": 12}
    unhappy = told(slow, "dissatisfied")
    assert (unhappy.numerator, unhappy.denominator) == (10, 12)
    assert unhappy.beside == {"dissatisfied: Waiting time": pytest.approx(10 / 12)}
    with acting(slow.acme.pk):
        entry = AuditEntry.objects.get(subject_kind="theme of comments")
        assert (entry.act, entry.actor_name) == ("confirmed", "Olga")


def test_a_theme_is_confirmed_under_a_name_of_ones_own_renamed_and_taken_back(
    slow: Cast, olga: Client
) -> None:
    waiting = theme(slow, "Waiting time")
    send(olga, waiting, name="  Answers   come late ")
    assert told(slow).beside == {"theme: Answers come late": 12}
    send(olga, waiting, name="Late answers")
    assert told(slow).beside == {"theme: Late answers": 12}
    send(olga, waiting, do="dismiss")
    assert told(slow).value is None
    assert "Late answers" not in olga.get(PAGE).content.decode()
    assert send(olga, waiting).status_code == 404


def test_a_dismissed_theme_is_not_suggested_again(slow: Cast, olga: Client) -> None:
    send(olga, theme(slow, "Waiting time"), do="dismiss")
    assert sweep(slow) == 0


def test_names_are_asked_for_are_unique_and_name_no_colleague(slow: Cast, olga: Client) -> None:
    waiting, kind = theme(slow, "Waiting time"), theme(slow, "Friendly and helpful")
    send(olga, waiting)
    for name, why in (
        ("waiting TIME", "There is a theme waiting TIME for this service already."),
        ("Agnes is slow", "A theme names no colleague."),
        ("x" * 81, "A theme has a name of 1 to 80 characters."),
    ):
        refused = send(olga, kind, name=name)
        assert refused.status_code == 400
        assert why in refused.content.decode()
    assert theme(slow, "Friendly and helpful").state == "suggested"


def test_a_clean_block_follows_a_decision_and_a_changed_comment(slow: Cast, olga: Client) -> None:
    def refresh() -> None:
        with roles.as_role(roles.WORKER):
            columns.refresh(slow.acme)

    refresh()
    assert not load(slow, THEMES)["theme"].any()
    send(olga, theme(slow, "Waiting time"))
    assert (load(slow, THEMES)["theme"] > 0).sum() == 12
    refresh()
    with acting(slow.acme.pk):
        one = Comment.objects.filter(text=SLOW).first()
        assert one is not None
        one.text = KIND
        one.save(update_fields=["text"])
    live = load(slow, THEMES)
    assert (live["theme"] > 0).sum() == 11
    refresh()
    assert plain(load(slow, THEMES)) == plain(live)


def test_a_small_theme_is_hidden_and_so_is_the_one_it_could_be_found_by(
    cast: Cast, olga: Client
) -> None:
    wrote(cast, *[(1, SLOW)] * 6, *[(5, KIND)] * 9)
    sweep(cast)
    for name in ("Waiting time", "Friendly and helpful"):
        send(olga, theme(cast, name))
    assert told(cast).beside == {"theme: Friendly and helpful": 9, "theme: Waiting time": 6}
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for comment in Comment.objects.filter(text=SLOW)[:2]:
            comment.text = "A word of nothing."
            comment.save()
    after = told(cast)
    assert (after.numerator, after.denominator) == (13, 15)
    assert after.beside == {}  # 13 less 9 would tell the four


def test_fewer_than_ten_comments_tell_counts_and_fewer_than_five_nothing(
    cast: Cast, olga: Client
) -> None:
    wrote(cast, *[(1, SLOW)] * 5)
    sweep(cast)
    send(olga, theme(cast, "Waiting time"))
    few = told(cast)
    assert (few.value, few.numerator, few.denominator, few.beside) == (None, 5, 5, {})
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Answer.objects.filter(pk=Answer.objects.first().pk).update(released_at=None)  # type: ignore[union-attr]
    hidden = told(cast)
    assert (hidden.numerator, hidden.denominator) == (None, None)


def test_themes_of_several_capabilities_are_never_one_figure(slow: Cast, olga: Client) -> None:
    send(olga, theme(slow, "Waiting time"))
    event = asked(slow, 1, capability=slow.accounts)
    with roles.as_role(roles.OWNER), acting(slow.acme.pk):
        Comment.objects.create(
            tenant=slow.acme, answer=event.answer, text=SLOW, at=event.answer.answered_at
        )
        Answer.objects.update(released_at=MAY - HOUR)
    assert "one capability at a time" in read(slow, "comment_themes").sentence
    assert told(slow).numerator == 12


def test_only_released_comments_on_our_service_suggest_themes(cast: Cast) -> None:
    wrote(cast, *[(1, SLOW)] * 4)
    event = asked(cast, 1, policy_denial=True)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Comment.objects.create(
            tenant=cast.acme, answer=event.answer, text=SLOW, at=event.answer.answered_at
        )
    assert sweep(cast) == 0
    wrote(cast, (1, SLOW))
    assert sweep(cast) == 1


def test_the_page_shows_masked_comments_and_no_phrase_with_a_colleagues_name(
    cast: Cast, olga: Client
) -> None:
    wrote(cast, *[(5, f"Agnes helped. {SLOW}")] * 5, *[(5, "I thank agnes helped for it")] * 6)
    sweep(cast)
    with acting(cast.acme.pk):
        assert "agnes helped" in " ".join(Theme.objects.values_list("name", flat=True))
    shown = olga.get(PAGE).content.decode()
    assert "Waiting time" in shown
    assert "[name] helped. It took too long" in shown
    assert "agnes" not in shown.lower()


def test_somebody_elses_capability_is_neither_shown_nor_decided(slow: Cast, client: Client) -> None:
    waiting = theme(slow, "Waiting time")
    with roles.as_role(roles.OWNER), acting(slow.acme.pk):
        slow.network.process_owner = None
        slow.network.save()
    client.force_login(slow.olga)
    assert "Waiting time" not in client.get(PAGE).content.decode()
    assert send(client, waiting).status_code == 404
    assert theme(slow, "Waiting time").state == "suggested"
    client.force_login(slow.sam)  # runs the domain
    assert send(client, waiting).status_code == 302


def test_the_page_asks_as_much_for_one_theme_as_for_many(
    slow: Cast, olga: Client, django_assert_max_num_queries: Any
) -> None:
    with roles.as_role(roles.OWNER), acting(slow.acme.pk):
        for number in range(15):
            Theme.objects.create(
                tenant=slow.acme, capability=slow.network, language="en", name=f"Theme {number}",
                phrases=[f"word{number}"], pattern=f"word{number}", people=5, suggested_at=MAY,
            )  # fmt: skip
    olga.get(PAGE)
    with django_assert_max_num_queries(22):
        olga.get(PAGE)


def test_the_evidence_of_the_figure_is_the_comments_themselves(slow: Cast) -> None:
    with acting(slow.acme.pk):
        cut = Slice(MARCH, APRIL, frozenset([slow.network.pk]))
        [piece] = beside(Reader(slow.acme, as_of=MAY), cut, "comment_themes")
    assert piece.rows[0].text == SLOW


def test_the_database_keeps_themes_to_five_people_and_pages_to_deciding(slow: Cast) -> None:
    def refused(error: Any, changes: Iterable[tuple[str, Any]]) -> None:
        with acting(slow.acme.pk), pytest.raises(error), transaction.atomic():
            Theme.objects.filter(name="Waiting time").update(**dict(changes))

    refused(DatabaseError, [("pattern", ".*")])
    refused(DatabaseError, [("people", 900)])
    refused(IntegrityError, [("state", "confirmed")])  # by nobody
    with acting(slow.acme.pk):
        assert Theme.objects.filter(name="Waiting time").update(name="Late") == 1
    with (
        roles.as_role(roles.WORKER),
        acting(slow.acme.pk),
        pytest.raises(IntegrityError),
        transaction.atomic(),
    ):
        Theme.objects.filter(name="Late").update(people=4)
