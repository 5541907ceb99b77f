"""A database of its own with many invitations, and processes that send them until they are killed.

    python -m tests.surveys.dispatching stage 40
    python -m tests.surveys.dispatching send 3 [marking-first]
    python -m tests.surveys.dispatching answer 50 [looking-first]

The second number counts leases that have passed: the clock is a parameter. `marking-first` is the
dispatcher that must fail: it notes a mail as sent before it hands it over. `answer` gives as many
answers to one link at the same instant; `looking-first` is the way that must fail: it looks whether
there is an answer and then writes one.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta


def stage(number: int) -> None:
    """Write the cast and `number` invitations that are due."""
    from django.db.backends.signals import connection_created

    from tests import roles
    from tests.factories import build_cast
    from tests.surveys.asking import NOON, campaign, decide, resolved

    connection_created.connect(roles.set_role)
    cast = build_cast()
    campaign(cast)
    for _ in range(number):
        resolved(cast, at=NOON)
    assert decide(cast, NOON) == number


def send(leases: int, *, marking_first: bool) -> None:
    """Send until there is nothing left to do."""
    from django.db import transaction

    from surveys import invitations
    from tests.surveys.asking import NOON

    now = NOON + timedelta(hours=1) + leases * invitations.LEASE
    if marking_first:
        hand_over = invitations.hand_over

        noted = invitations._note

        def note(invitation: object, outcome: object, at: object) -> None:
            noted(invitation, outcome, at)  # type: ignore[arg-type]
            transaction.on_commit(lambda: hand_over(pending.pop()))

        pending: list[object] = []

        def remember(message: object) -> invitations.Outcome:
            pending.append(message)
            return invitations.Outcome(invitations.State.SENT)

        invitations.hand_over = remember  # type: ignore[assignment]
        invitations._note = note  # type: ignore[assignment]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while invitations.sweep(now):
        pass


def answer(number: int, *, looking_first: bool) -> None:
    """Answer one link `number` times at once; print how many calls failed."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from django.db import Error, connection

    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from surveys import answering, links
    from surveys.models import Answer, Invitation
    from tests.surveys.asking import NOON

    acme = Organisation.objects.get(slug="acme")
    with acting(acme.pk):
        invitation = Invitation.objects.order_by("pk").first()
        assert invitation is not None
    token = links.new_token(invitation.message_id)
    if looking_first:
        number = min(number, 8)  # all hold a connection at once, and the pool has twelve
    together, looked = Barrier(number), Barrier(number)

    def look_then_write() -> None:
        with acting(acme.pk):
            asked = Answer.objects.filter(event=invitation.event_id)
            if not asked.exists():
                looked.wait()  # everybody has looked before anybody writes: the race, every time
                Answer.objects.create(
                    tenant=acme, event_id=invitation.event_id, score=4, answered_at=NOON
                )

    def once(_: int) -> bool:
        together.wait()
        try:
            if looking_first:
                look_then_write()
            else:
                answering.answer(token=token, score=4, at=NOON)
        except Error:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        succeeded = list(pool.map(once, range(number)))
    sys.stdout.write(f"{succeeded.count(False)} failed\n")


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    if sys.argv[1] == "stage":
        stage(int(sys.argv[2]))
    elif sys.argv[1] == "answer":
        answer(int(sys.argv[2]), looking_first="looking-first" in sys.argv)
    else:
        send(int(sys.argv[2]), marking_first="marking-first" in sys.argv)
