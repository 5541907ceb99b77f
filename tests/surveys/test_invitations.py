"""Mails over a real SMTP server: what they say, and what happens when it is unclear who has one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from portal.tenancy.context import acting
from portal.tenancy.models import Door
from surveys import invitations
from surveys.models import Invitation, OptOut
from tests import roles
from tests.factories import Cast
from tests.surveys.asking import (
    HOUR,
    NOON,
    campaign,
    decide,
    event_of,
    invitation_of,
    reason_of,
    requester,
    resolved,
    send,
    token_of,
)
from tests.surveys.conftest import Desk, free_port, smtp
from tickets.models import Resolution

LEASE = invitations.LEASE


@pytest.fixture
def queued(cast: Cast, asking: None) -> Resolution:
    """A resolution about which Rui is to be asked at noon."""
    resolution = resolved(
        cast, asked_by=requester(cast, email="rui@acme.example"), subject="My <b>chair</b> & desk"
    )
    decide(cast, NOON)
    return resolution


def state(cast: Cast, resolution: Resolution) -> Invitation:
    return invitation_of(token_of(resolution), cast)


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body(preferencelist=(kind,))
    assert body is not None
    return str(body.get_content())


def test_a_mail_says_who_asks_about_what_for_whom_and_how_to_stop(
    cast: Cast, queued: Resolution, desk: Desk, settings: Any
) -> None:
    assert send(cast, NOON) == 0, "not due yet"
    assert send(cast, NOON + timedelta(minutes=5)) == 1
    (mail,) = desk.mails
    token = token_of(queued)
    message_id = event_of(queued).invitation.message_id
    assert mail["To"] == "rui@acme.example"
    assert mail["From"] == f"Acme <{settings.DEFAULT_FROM_EMAIL}>"
    assert mail["Reply-To"] == "Sam <sam@acme.example>"
    assert mail["Message-ID"] == f"<{message_id}@acme>"
    stop = f"{settings.PUBLIC_URL}/s/{token}/unsubscribe/"
    assert mail["List-Unsubscribe"] == f"<{stop}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = part(mail, "plain"), part(mail, "html")
    assert "My <b>chair</b> & desk" in text
    assert "My &lt;b&gt;chair&lt;/b&gt; &amp; desk" in html
    for score in range(1, 6):
        link = f"{settings.PUBLIC_URL}/s/{token}/?score={score}"
        assert link in text
        assert f'href="{link}"' in html
    assert stop in text
    assert stop in html
    assert "at least four others" in text
    assert "24 March 2026" in text
    assert "<style" not in html
    assert re.search(r'<a [^>]*style="[^"]*color', html)
    external = re.findall(r"https?://[^\"'\s<>]+", html + text)
    assert all(url.startswith(settings.PUBLIC_URL) for url in external)


def test_a_sent_mail_opens_the_window_of_fourteen_days_and_is_not_sent_again(
    cast: Cast, queued: Resolution, desk: Desk
) -> None:
    send(cast, NOON + HOUR)
    sent = state(cast, queued)
    assert (sent.state, sent.sent_at) == ("sent", NOON + HOUR)
    assert sent.window_until == NOON + HOUR + timedelta(hours=14 * 24)
    assert send(cast, NOON + 3 * HOUR) == 0
    assert len(desk.mails) == 1


def crash(tenant_id: int, now: Any) -> None:
    """A worker that vanishes after its lease was committed and the mail handed over."""
    with acting(tenant_id):
        claimed = invitations._claim(tenant_id, now)
    assert claimed is not None
    assert claimed[1] is not None
    assert invitations.hand_over(claimed[1]).state == "sent"


def test_a_crash_repeats_the_mail_once_after_the_lease_with_the_same_id_and_link(
    cast: Cast, queued: Resolution, desk: Desk
) -> None:
    now = NOON + HOUR
    with roles.as_role(roles.WORKER):
        crash(cast.acme.pk, now)
    assert send(cast, now + LEASE - timedelta(seconds=1)) == 0, "another worker may be at it"
    assert send(cast, now + LEASE) == 1
    first, second = desk.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert part(first, "plain").split("until")[0] == part(second, "plain").split("until")[0]
    assert first["List-Unsubscribe"] == second["List-Unsubscribe"]
    assert state(cast, queued).state == "sent"


def test_a_second_crash_makes_it_uncertain_until_a_person_decides(
    cast: Cast, queued: Resolution, desk: Desk
) -> None:
    now = NOON + HOUR
    with roles.as_role(roles.WORKER):
        crash(cast.acme.pk, now)
        crash(cast.acme.pk, now + LEASE)
    send(cast, now + 2 * LEASE)
    send(cast, now + 9 * LEASE)
    assert state(cast, queued).state == "uncertain"
    assert len(desk.mails) == 2
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        again = {"tenant_id": cast.acme.pk, "invitation_id": state(cast, queued).pk}
        invitations.send_again(**again, at=now + 20 * LEASE)
        with pytest.raises(invitations.NotUncertain):
            invitations.send_again(**again, at=now)
    send(cast, now + 20 * LEASE)
    assert state(cast, queued).state == "sent"
    assert len(desk.mails) == 3


def test_a_server_that_takes_the_mail_and_hangs_up_is_as_unclear_as_a_crash(
    cast: Cast, queued: Resolution, desk: Desk
) -> None:
    desk.hang_up = 1
    now = NOON + HOUR
    send(cast, now)
    assert state(cast, queued).state == "sending"
    assert "Disconnected" in state(cast, queued).last_error
    send(cast, now + LEASE)
    assert state(cast, queued).state == "sent"
    assert len({mail["Message-ID"] for mail in desk.mails}) == 1
    assert len(desk.mails) == 2


def test_a_server_that_is_away_costs_nothing_but_time(
    cast: Cast, queued: Resolution, settings: Any, desk: Desk
) -> None:
    smtp(settings, free_port())
    send(cast, NOON + HOUR)
    waiting = state(cast, queued)
    assert (waiting.state, waiting.due_at) == ("queued", NOON + HOUR + invitations.BACKOFF[0])
    assert waiting.last_error
    smtp(settings, desk.port)
    send(cast, waiting.due_at)
    assert state(cast, queued).state == "sent"


@pytest.mark.parametrize(
    ("said", "state_after"),
    [("550 5.1.1 no such mailbox", "bounced"), ("451 4.3.0 later", "queued")],
)
def test_a_refused_recipient_is_a_bounce_or_is_tried_later(
    cast: Cast, queued: Resolution, desk: Desk, said: str, state_after: str
) -> None:
    desk.to_recipient = [said]
    send(cast, NOON + HOUR)
    after = state(cast, queued)
    assert after.state == state_after
    assert (after.sent_at is not None) == (state_after == "bounced")
    assert "rui" not in after.last_error


def test_what_is_refused_for_hours_fails_visibly_with_its_reason(
    cast: Cast, queued: Resolution, desk: Desk
) -> None:
    desk.to_recipient = ["451 4.3.0 later"] * 10
    now = NOON + HOUR
    for wait in [*invitations.BACKOFF, timedelta(0)]:
        assert send(cast, now) == 1
        now += wait
    after = state(cast, queued)
    assert (after.state, after.attempts) == ("failed", len(invitations.BACKOFF) + 1)
    assert "451" in after.last_error


def test_one_mail_that_cannot_be_written_stops_no_other(
    cast: Cast, queued: Resolution, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = resolved(cast, at=NOON)
    decide(cast, NOON)
    faulty = event_of(queued).invitation.pk
    compose: Callable[..., Any] = invitations.compose

    def sometimes(invitation: Invitation, **rest: Any) -> Any:
        if invitation.pk == faulty:
            raise KeyError("a word is missing")
        return compose(invitation, **rest)

    monkeypatch.setattr(invitations, "compose", sometimes)
    assert send(cast, NOON + HOUR) == 2
    assert state(cast, queued).state == "queued"
    assert "a word is missing" in state(cast, queued).last_error
    assert state(cast, other).state == "sent"
    for _ in range(10):
        send(cast, state(cast, queued).due_at)
    assert state(cast, queued).state == "failed"
    assert state(cast, queued).attempts == len(invitations.BACKOFF) + 1


def test_who_says_no_before_the_mail_goes_out_is_not_asked_and_counted_so(
    cast: Cast, queued: Resolution, desk: Desk
) -> None:
    event = event_of(queued)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        OptOut.objects.create(tenant=cast.acme, requester=event.requester, at=NOON)
    send(cast, NOON + HOUR)
    assert desk.mails == []
    assert reason_of(queued) == "opted_out"
    assert not Door.objects.filter(kind="survey").exists()


def test_a_resolution_taken_back_is_not_asked_about(
    cast: Cast, queued: Resolution, desk: Desk
) -> None:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        Resolution.objects.filter(pk=queued.pk).delete()
    send(cast, NOON + HOUR)
    assert desk.mails == []
    with acting(cast.acme.pk):
        assert Invitation.objects.get().state == "failed"


def test_a_changed_secret_is_told_and_an_old_one_kept_beside_it_still_works(
    cast: Cast, queued: Resolution, desk: Desk, settings: Any
) -> None:
    before, token = settings.SECRET_KEY, token_of(queued)
    settings.SECRET_KEY = "another secret key that is long enough to be one, surely"
    settings.SECRET_KEY_FALLBACKS = [before]
    send(cast, NOON + HOUR)
    assert token in part(desk.mails[0], "plain")
    settings.SECRET_KEY_FALLBACKS = []
    other = resolved(cast, at=NOON)
    settings.SECRET_KEY = before
    decide(cast, NOON)
    settings.SECRET_KEY = "another secret key that is long enough to be one, surely"
    send(cast, NOON + HOUR)
    assert len(desk.mails) == 1
    assert "SECRET_KEY" in event_of(other).invitation.last_error


def test_every_organisation_gets_its_turn_even_when_one_fails(
    cast: Cast, desk: Desk, asking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved(cast)
    decide(cast, NOON)
    send_due = invitations.send_due

    def fails_for_globex(*, tenant_id: int, now: Any) -> int:
        if tenant_id == cast.globex.pk:
            raise RuntimeError("the table is on fire")
        return send_due(tenant_id=tenant_id, now=now)

    monkeypatch.setattr(invitations, "send_due", fails_for_globex)
    with roles.as_role(roles.WORKER), pytest.raises(ExceptionGroup) as failed:
        invitations.sweep(NOON + HOUR)
    assert "the table is on fire" in str(failed.value.exceptions)
    assert len(desk.mails) == 1


def test_without_a_campaign_nobody_is_asked(cast: Cast, desk: Desk) -> None:
    resolved(cast)
    assert decide(cast, NOON + HOUR) == 0
    campaign(cast)
    assert decide(cast, NOON + HOUR) == 1
