"""A hint is sent when the work is committed, and only where a broker can carry it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from portal.celery import BEAT, app
from portal.tenancy.hints import hint
from tests.factories import Cast
from tickets import inbound


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    assert current_app._get_current_object() is app
    monkeypatch.setattr(app, "send_task", lambda name, **_: names.append(name))
    return names


def test_news_at_the_door_wakes_a_worker_after_the_commit(
    in_acme: Cast,
    sent: list[str],
    settings: Any,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    settings.BROKER_URL = "redis://127.0.0.1/0"
    with django_capture_on_commit_callbacks(execute=True):
        inbound.receive(
            tenant_id=in_acme.acme.pk,
            connection=in_acme.desk,
            delivery_id="1",
            topic="ticket",
            raw=b"{}",
            at=in_acme.desk.created_at,
        )
        assert sent == [], "not before the commit"
    assert sent == ["enter_messages"]
    assert set(sent) <= {body.__name__ for body, _ in BEAT}


def test_what_is_rolled_back_wakes_nobody_and_without_a_broker_nobody_is_woken(
    db: None,
    sent: list[str],
    settings: Any,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    settings.BROKER_URL = "redis://127.0.0.1/0"
    with django_capture_on_commit_callbacks(execute=True):
        with transaction.atomic():
            hint("send_invitations")
            transaction.set_rollback(True)
        settings.BROKER_URL = ""
        hint("send_invitations")
    assert sent == []


def test_a_broker_that_is_away_fails_nobodys_request(
    in_acme: Cast,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    settings.BROKER_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(app, "send_task", away)
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        hint("enter_messages")
    assert len(callbacks) == 1
