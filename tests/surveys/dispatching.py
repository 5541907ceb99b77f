"""A database of its own with many invitations, and processes that send them until they are killed.

    python -m tests.surveys.dispatching stage 40
    python -m tests.surveys.dispatching send 3 [marking-first]

The second number counts leases that have passed: the clock is a parameter. `marking-first` is the
dispatcher that must fail: it notes a mail as sent before it hands it over.
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


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    if sys.argv[1] == "stage":
        stage(int(sys.argv[2]))
    else:
        send(int(sys.argv[2]), marking_first="marking-first" in sys.argv)
