"""One effect for one Idempotency-Key: in flight, again, with another call, and after a crash."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import get_resolver, include, path
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from portal.audit.models import AuditEntry
from portal.audit.trail import Actor, record
from portal.endpoint import UNSAFE, Endpoint
from portal.idempotency import KEPT
from portal.people.models import KeptAnswer
from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import permission_matrix
from tests.factories import Cast
from tests.faults import tries
from tests.governance import test_attacks as real
from tests.portal.test_permissions import key_of
from tests.tickets.events import event
from tickets.models import InboundMessage


class Pause:
    """Where the act stops until the test lets it go on."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def here(self) -> None:
        self.began.set()
        assert self.go_on.wait(20)


pause = Pause()


class Crash(BaseException):
    """The process dies: no handler of the product catches it."""


class Acting(Endpoint):
    """An act that is done as often as it is asked for: it writes one line into the audit trail."""

    scopes = {"POST": (Scope.ADMIN_CONFIG,)}

    def post(self, request: Request) -> Response:
        if request.data.get("wrong"):
            raise ValidationError({"wrong": ["Nothing was done."]})
        record(
            tenant_id=self.organisation.pk,
            actor=Actor("test", "Test"),
            act="test.done",
            subject_kind="test",
            subject_id="1",
            detail={},
            at=timezone.now(),
        )
        pause.here()
        if request.data.get("crash"):
            raise Crash
        said = {"at": timezone.now().isoformat(), "said": request.data}
        return Response(said, status=201)


urlpatterns = [
    path("api/v1/test/acts/", Acting.as_view(), name="test_acts"),
    path("", include("portal.urls")),
]
handler400 = "portal.errors.bad_request"
handler500 = "portal.errors.server_error"
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def key(cast: Cast) -> str:
    return key_of(cast, *Scope)[1]


def post(
    key: str, idempotency_key: str | None, body: Any = None, address: str = "test/acts/"
) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    return Client(raise_request_exception=False).post(
        f"/api/v1/{address}",
        data=json.dumps({"name": "x"} if body is None else body),
        content_type="application/json",
        headers=headers,
    )


def effects(cast: Cast) -> int:
    with acting(cast.acme.pk):
        return AuditEntry.objects.filter(act="test.done").count()


def refused(answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_again_is_the_same_answer_byte_for_byte_and_no_second_effect(cast: Cast, key: str) -> None:
    first, again = post(key, "k1"), post(key, '"k1"')
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert dict(first.headers) == dict(again.headers)
    assert effects(cast) == 1
    assert post(key, "k2").content != first.content, "the control: another key acts again"
    assert effects(cast) == 2


@pytest.mark.parametrize("bad", [None, "", '""', "x" * 256, "ключ".encode().decode("latin-1")])
def test_a_call_without_a_usable_key_is_refused(cast: Cast, key: str, bad: str | None) -> None:
    refused(post(key, bad), 400)
    assert effects(cast) == 0
    assert post(key, "x" * 255).status_code == 201


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_another_body_under_the_same_key_is_refused(cast: Cast, key: str, order: list[str]) -> None:
    said = {"a": 1, "b": 2}
    assert post(key, "k1", said).status_code == 201
    refused(post(key, "k1", said | {"b": 3}), 422)
    assert post(key, "k1", {name: said[name] for name in order}).status_code == 201
    assert effects(cast) == 1


def test_keys_of_two_callers_are_two(cast: Cast, key: str) -> None:
    other = key_of(cast, Scope.ADMIN_CONFIG)[1]
    assert post(key, "k1").status_code == post(other, "k1").status_code == 201
    assert effects(cast) == 2


def test_after_a_day_the_key_is_as_good_as_new(cast: Cast, key: str) -> None:
    post(key, "k1")
    now = timezone.now()
    with time_machine.travel(now + KEPT - timedelta(minutes=1), tick=False):
        post(key, "k1")
    assert effects(cast) == 1
    with time_machine.travel(now + KEPT + timedelta(minutes=1), tick=False):
        assert post(key, "k1", {"name": "y"}).status_code == 201
    assert effects(cast) == 2
    with acting(cast.acme.pk):
        assert KeptAnswer.objects.count() == 1, "what is old is removed"


def test_what_was_refused_may_be_tried_again_in_another_form(cast: Cast, key: str) -> None:
    refused(post(key, "k1", {"wrong": True}), 400)
    assert post(key, "k1").status_code == 201


def test_a_whole_batch_of_events_may_carry_a_key_and_need_not(cast: Cast, key: str) -> None:
    def batch(name: str) -> list[Any]:
        return [event("ticket.created", name, data={"severity": "low"})]

    address = "ingest/events/"
    first = post(key, "k1", batch("e1"), address)
    assert first.json()["results"][0]["status"] == "created"
    assert post(key, "k1", batch("e1"), address).content == first.content
    refused(post(key, "k1", batch("e2"), address), 422)
    assert post(key, None, batch("e2"), address).status_code == 200
    with acting(cast.acme.pk):
        assert InboundMessage.objects.count() == 2


def test_every_unsafe_operation_needs_a_key_unless_what_it_sends_has_ids_of_its_own() -> None:
    """Walks the addresses: a view that forgets to say so needs the key."""
    views = {
        pattern.name: pattern.callback.view_class
        for pattern in get_resolver("portal.api").url_patterns
        if hasattr(pattern.callback, "view_class")
    }
    unsafe = {
        name
        for name, method in permission_matrix.API
        if method.lower() in UNSAFE and views[name].needs_idempotency_key
    }
    every = {name for name, method in permission_matrix.API if method.lower() in UNSAFE}
    assert unsafe == {"api_replay", "api_observations", "api_quality_reviews"}
    assert every - unsafe == {"api_events", "api_ticket_upsert", "api_rating_upsert"}
    assert Acting.needs_idempotency_key
    assert hasattr(Acting.post, "__wrapped__")


# --- two at once, and crashes: real transactions --------------------------------------------------


committed = real.committed
committing = real.committing


def threaded(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connection.close()


@pytest.mark.faults
@committing
def test_a_contender_is_told_that_the_winner_is_at_work(committed: Cast) -> None:
    """Deterministic: the winner holds the key until the contender has its answer."""
    cast, key = committed, key_of(committed, *Scope)[1]
    pause.began.clear()
    pause.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        winner = pool.submit(threaded, lambda: post(key, "k1"))
        assert pause.began.wait(20)
        refused(post(key, "k1"), 409)
        pause.go_on.set()
        first = winner.result(30)
    assert first.status_code == 201
    assert post(key, "k1").content == first.content
    assert effects(cast) == 1


@pytest.mark.faults
@pytest.mark.parametrize("when", ["in the work", "between work and record", "after the record"])
def test_a_crash_leaves_neither_work_nor_record_and_the_call_may_come_again(
    committed: Cast, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    real.aside(lambda: _crash_and_come_again(committed, monkeypatch, when))


def _crash_and_come_again(cast: Cast, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    key = key_of(cast, *Scope)[1]
    body: dict[str, Any] = {"name": "x"}
    with monkeypatch.context() as patched:
        if when == "in the work":
            body = {"crash": True}
        else:
            create = KeptAnswer.objects.create

            def crash(**row: Any) -> None:
                if when == "after the record":
                    create(**row)
                raise Crash

            patched.setattr(KeptAnswer.objects, "create", crash)
        with pytest.raises(Crash):
            post(key, "k1", body)
    assert effects(cast) == 0
    with acting(cast.acme.pk):
        assert not KeptAnswer.objects.exists()
    assert post(key, "k1").status_code == 201
    assert effects(cast) == 1


@pytest.mark.faults
def test_a_thousand_keys_that_several_send_at_once_have_one_effect_each(
    committed: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.rest.KeyRateThrottle.allow_request", lambda *_: True)
    real.aside(lambda: _send_each_at_once(committed))


def _send_each_at_once(cast: Cast) -> None:
    key = key_of(cast, *Scope)[1]
    runs = tries(1_000)

    def twice_and_again(number: int) -> set[bytes]:
        start = threading.Barrier(2)

        def one() -> Any:
            start.wait(20)
            return threaded(lambda: post(key, f"run {number}"))

        with ThreadPoolExecutor(2) as pool:
            answers = [call.result(30) for call in (pool.submit(one), pool.submit(one))]
        answers.append(post(key, f"run {number}"))
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert answers[-1].status_code == 201
        return {answer.content for answer in answers if answer.status_code == 201}

    for number in range(runs):
        assert len(twice_and_again(number)) == 1
    assert effects(cast) == runs


@pytest.mark.faults
def test_without_the_lock_two_at_once_would_both_act(
    committed: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the unique row alone lets both work, and fails one of them after it."""
    key = real.aside(lambda: key_of(committed, *Scope)[1])
    monkeypatch.setattr("portal.idempotency._hold", lambda holder, digest: None)
    began: list[int] = []
    barrier = threading.Barrier(2)

    def meet() -> None:
        began.append(1)
        barrier.wait(20)

    monkeypatch.setattr(pause, "here", meet)
    monkeypatch.setitem(globals(), "record", lambda **_: None)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(threaded, lambda: post(key, "k1")) for _ in range(2)]
        codes = sorted(call.result(30).status_code for call in calls)
    assert len(began) == 2
    assert codes == [201, 500]
