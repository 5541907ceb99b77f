"""The demo's mailbox: mails written to MAILBOX_FOLDER instead of sent, shown to its visitors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render

from portal.organisations import MemberRequest, needs
from portal.people.roles import Right

#: What Django's file backend writes after each mail.
_RULE = b"\n" + b"-" * 79 + b"\n"
_LINK = re.compile(r"https?://[^\s<>\"]+")
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as the page shows it."""

    sender: str
    to: str
    subject: str
    sent_at: datetime | None
    text: str
    #: Links into this installation, as they stand in the text.
    links: list[str]


@needs(Right.READ_MAILBOX)
def mailbox(request: MemberRequest, organisation: str) -> HttpResponse:
    """The organisation's mails, the newest first."""
    folder = Path(settings.MAILBOX_FOLDER) if settings.MAILBOX_FOLDER else None
    shown: list[Mail] = []
    if folder is not None:
        for mail in mails(folder, domain=request.organisation.slug):
            shown.append(mail)
            if len(shown) == MOST_SHOWN:
                break
    context = {"mails": shown, "most": MOST_SHOWN, "folder_set": folder is not None}
    return render(request, "portal/mailbox.html", context)


def mails(folder: Path, *, domain: str) -> Iterator[Mail]:
    """The mails of one organisation, known by their Message-ID's domain, the newest first."""
    files = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files:
        for raw in reversed(file.read_bytes().split(_RULE)):
            if not raw.strip():
                continue
            message = message_from_bytes(raw, policy=policy.default)
            if str(message["Message-ID"]).strip().endswith(f"@{domain}>"):
                yield _read(message)


def _read(message: EmailMessage) -> Mail:
    body = message.get_body(preferencelist=("plain",))
    text = body.get_content() if body is not None else ""
    date = message["Date"]
    return Mail(
        sender=str(message["From"]),
        to=str(message["To"]),
        subject=str(message["Subject"]),
        sent_at=date.datetime if date is not None else None,
        text=text,
        links=[link for link in _LINK.findall(text) if link.startswith(settings.PUBLIC_URL + "/")],
    )
