"""The invitation as a mail: who it is from, what it says, how it can be stopped with one click."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import formataddr
from functools import cache

import css_inline
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone

from portal.people.models import Person
from surveys import links
from surveys.models import Invitation
from surveys.wording import wording_of

#: The core question alone takes seconds; the templates say so for 0.
MINUTES = 0


def compose(invitation: Invitation, *, until: datetime) -> EmailMultiAlternatives:
    """Return the mail of an invitation; composed again it has the same Message-ID and links.

    `until` is when answers stop to count. Raises surveys.links.LostSecret.
    """
    event = invitation.event
    organisation = invitation.tenant
    domain = event.capability.domain if event.capability else None
    manager = domain.service_desk_manager if domain else None
    wording = wording_of(domain.key if domain else None)
    token = links.token_for(invitation.message_id, bytes(invitation.token_digest))
    person = event.requester.person if event.requester else None
    stop = links.unsubscribe_url(token)
    words = {
        "organisation": organisation.name,
        "greeting_name": person.name if person else "",
        "ticket_subject": event.ticket.subject or event.ticket.external_id,
        "question": wording.question,
        "scale": [
            {"value": score, "label": label, "url": links.question_url(token, score)}
            for score, label in wording.scale.items()
        ],
        "minutes": MINUTES,
        "who_sees": wording.who_sees,
        "until": until,
        "unsubscribe_url": stop,
        "sender_name": organisation.name,
        "language": wording.language,
    }
    with timezone.override(organisation.zone):
        text = render_to_string("mail/invitation.txt", words).strip() + "\n"
        html = _inliner().inline(render_to_string("mail/invitation.html", words))
    message = EmailMultiAlternatives(
        subject=_one_line(wording.question),
        body=text,
        from_email=formataddr((_one_line(organisation.name), settings.DEFAULT_FROM_EMAIL)),
        to=[event.requester.email if event.requester else ""],
        reply_to=_reply_to(manager),
        headers={
            "Message-ID": f"<{invitation.message_id}@{organisation.slug}>",
            "List-Unsubscribe": f"<{stop}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            # Holiday notices need not answer a machine (RFC 3834).
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(html, "text/html")
    return message


def _reply_to(manager: Person | None) -> list[str]:
    """Replies reach whoever runs the desk; without one they reach the sender's address."""
    return [formataddr((_one_line(manager.name), manager.email))] if manager else []


def _one_line(text: str) -> str:
    """A header is one line."""
    return re.sub(r"\s+", " ", text).strip()


@cache
def _inliner() -> css_inline.CSSInliner:
    """Mail programs drop style sheets; nothing is ever fetched from elsewhere."""
    return css_inline.CSSInliner(load_remote_stylesheets=False)
