"""Sending invitations: claim under a lease, commit, send, commit (TRUST.md C).

    queued -> sending (lease 10 min) -> sent | bounced | failed | uncertain

Mail is at-least-once. A worker that vanishes between handing a mail over and noting it leaves a
row in `sending`: when its lease has run out it is sent once more, with the same Message-ID and the
same link; should that end as unclear as the first, the row becomes `uncertain` and waits for a
person. One invitation is claimed at a time, so that a crash can repeat one mail, not a batch.
"""

from __future__ import annotations

import contextlib
import logging
import re
import smtplib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core import mail
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q

from portal.tenancy.context import acting
from portal.tenancy.models import Door
from surveys.asking_rules import answer_window
from surveys.links import LostSecret
from surveys.mail import compose
from surveys.models import Invitation, NotSent, SurveyedEvent
from surveys.opting_out import has_opted_out
from surveys.sweeping import each_organisation
from tickets.models import Resolution

log = logging.getLogger(__name__)
State = Invitation.State

#: How long a worker may take for one mail before another tries.
LEASE = timedelta(minutes=10)
#: Waits after a refusal that may pass; after the last the invitation has failed.
BACKOFF = [timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240)]
#: Mails of one organisation in one sweep, so that `now` stays close to the truth.
MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the mail server said, or that it said nothing (state `sending`: nobody knows)."""

    state: Invitation.State
    reason: str = ""


class NotUncertain(Exception):
    """Only an invitation nobody knows the fate of is sent again by hand."""


def sweep(now: datetime) -> int:
    """Send what is due in every organisation; return how many mails were tried."""
    return each_organisation(
        "Sending invitations", lambda tenant_id: send_due(tenant_id=tenant_id, now=now)
    )


def send_due(*, tenant_id: int, now: datetime) -> int:
    """Send an organisation's due invitations, one by one; return how many were tried.

    Opens its own transactions: must not run inside one, or a crash would undo its notes.
    """
    for tried in range(MOST_AT_ONCE):
        if not _send_next(tenant_id, now):
            return tried
    return MOST_AT_ONCE


def _send_next(tenant_id: int, now: datetime) -> bool:
    with acting(tenant_id):
        claimed = _claim(tenant_id, now)
    if claimed is None:
        return False
    invitation, message = claimed
    if message is not None:
        outcome = hand_over(message)
        with acting(tenant_id):
            _note(invitation, outcome, now)
    return True


def _claim(tenant_id: int, now: datetime) -> tuple[Invitation, EmailMessage | None] | None:
    """Take the next due invitation under a lease; its mail is None where none is to be sent."""
    invitation = (
        Invitation.objects.for_tenant(tenant_id)
        .filter(
            Q(state=State.QUEUED, due_at__lte=now) | Q(state=State.SENDING, lease_until__lte=now)
        )
        .order_by("due_at", "pk")
        .select_for_update(skip_locked=True)
        .first()
    )
    if invitation is None:
        return None
    if invitation.state == State.SENDING:
        invitation.ambiguous += 1
    if invitation.ambiguous >= 2:
        _end(invitation, State.UNCERTAIN, "twice nobody could say whether it was sent", now)
        return invitation, None
    if has_opted_out(invitation.event):
        _do_not_send(invitation)
        return invitation, None
    if not _still_resolved(invitation.event):
        _end(invitation, State.FAILED, "the resolution was taken back before it was sent", now)
        return invitation, None
    try:
        with transaction.atomic():
            message = compose(invitation, until=now + answer_window(invitation.tenant_id))
            message.message()
    except LostSecret as lost:
        _end(invitation, State.FAILED, str(lost), now)
        return invitation, None
    except Exception as fault:  # noqa: BLE001 - kept with its reason: one faulty mail stops no queue
        invitation.attempts += 1
        _later(invitation, f"could not be written: {_reason(fault)}", now)
        return invitation, None
    invitation.state = State.SENDING
    invitation.attempts += 1
    invitation.lease_until = now + LEASE
    invitation.save(update_fields=["state", "attempts", "ambiguous", "lease_until"])
    return invitation, message


def hand_over(message: EmailMessage) -> Outcome:
    """Hand a mail to the server and tell what is known of its fate."""
    connection = mail.mailers.default
    try:
        connection.open()
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(State.QUEUED, _reason(error))
    try:
        connection.send_messages([message])
    except smtplib.SMTPServerDisconnected as error:
        return Outcome(State.SENDING, _reason(error))
    except smtplib.SMTPRecipientsRefused as refused:
        codes = [code for code, _ in refused.recipients.values()]
        final = all(code >= 500 for code in codes)
        return Outcome(State.BOUNCED if final else State.QUEUED, f"refused with {codes}")
    except smtplib.SMTPResponseException as error:
        final = error.smtp_code >= 500
        return Outcome(State.FAILED if final else State.QUEUED, _reason(error))
    except (smtplib.SMTPException, ValueError) as error:
        return Outcome(State.FAILED, _reason(error))
    except OSError as error:
        return Outcome(State.SENDING, _reason(error))
    finally:
        # What was accepted stays accepted, whatever becomes of the goodbye.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            connection.close()
    return Outcome(State.SENT)


def _note(invitation: Invitation, outcome: Outcome, now: datetime) -> None:
    """Write down what became of a claimed invitation, unless the claim has passed to another."""
    mine = (
        Invitation.objects.for_tenant(invitation.tenant_id)
        .filter(pk=invitation.pk, state=State.SENDING, attempts=invitation.attempts)
        .select_for_update()
        .first()
    )
    if mine is None:
        log.warning("Invitation %s took longer than its lease", invitation.message_id)
        return
    if outcome.state == State.SENDING:
        mine.last_error = outcome.reason
        mine.save(update_fields=["last_error"])
    elif outcome.state == State.QUEUED:
        _later(mine, outcome.reason, now)
    else:
        _end(mine, outcome.state, outcome.reason, now)


def _later(invitation: Invitation, reason: str, now: datetime) -> None:
    """Put an invitation back into the queue, or give up after the last wait."""
    if invitation.attempts > len(BACKOFF):
        _end(invitation, State.FAILED, reason, now)
        return
    log.warning("Invitation %s is tried again later: %s", invitation.message_id, reason)
    invitation.state = State.QUEUED
    invitation.due_at = now + BACKOFF[invitation.attempts - 1]
    invitation.lease_until = None
    invitation.last_error = reason
    invitation.save()


def _end(invitation: Invitation, state: Invitation.State, reason: str, now: datetime) -> None:
    """Bring an invitation to its final state."""
    invitation.state = state
    invitation.last_error = reason[:300]
    invitation.lease_until = None
    if state in (State.SENT, State.BOUNCED):
        invitation.sent_at = now
    if state in (State.SENT, State.BOUNCED, State.UNCERTAIN):
        invitation.window_until = now + answer_window(invitation.tenant_id)
    invitation.save()
    if state != State.SENT:
        log.warning("Invitation %s is %s: %s", invitation.message_id, state, reason)


def _do_not_send(invitation: Invitation) -> None:
    """The person said no after it was decided to ask: the event is entered as not sent."""
    event = invitation.event
    NotSent.objects.create(tenant_id=event.tenant_id, event=event, reason=NotSent.Reason.OPTED_OUT)
    event.decision = SurveyedEvent.Decision.NOT_SENT
    event.save(update_fields=["decision"])
    Door.objects.filter(digest=bytes(invitation.token_digest)).delete()
    invitation.delete()


def _still_resolved(event: SurveyedEvent) -> bool:
    """Whether the resolution still exists: a misclick is taken back (METRICS.md 1.6)."""
    resolutions = Resolution.objects.for_tenant(event.tenant_id)
    return resolutions.filter(ticket_id=event.ticket_id, event_key=event.event_key).exists()


@transaction.atomic
def send_again(*, tenant_id: int, invitation_id: int, at: datetime) -> None:
    """Queue an uncertain invitation once more: a person decided that a second copy does no harm.

    Raises NotUncertain.
    """
    queued = Invitation.objects.for_tenant(tenant_id).filter(
        pk=invitation_id, state=State.UNCERTAIN
    )
    if not queued.update(state=State.QUEUED, due_at=at, ambiguous=0, window_until=None):
        raise NotUncertain


def _reason(error: Exception) -> str:
    """An error's words without anybody's address."""
    return re.sub(r"\S+@\S+", "<address>", f"{type(error).__name__}: {error}")[:300]
