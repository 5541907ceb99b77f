"""A real SMTP server on a free port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.factories import Cast
from tests.surveys import asking as scene


@dataclass
class Desk:
    """What the server received, and how it behaves."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    #: Answers to RCPT, one each; then it accepts.
    to_recipient: list[str] = field(default_factory=list)
    #: How often it hangs up after having taken a mail, before it says so.
    hang_up: int = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        """Accept the recipient, or say what the test wants said."""
        if self.to_recipient:
            return self.to_recipient.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the mail; perhaps vanish before acknowledging it (RFC 1047)."""
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        if self.hang_up:
            self.hang_up -= 1
            assert server.transport is not None
            server.transport.abort()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return "250 kept"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def desk(settings: Any) -> Iterator[Desk]:
    """Mail goes out over SMTP to this server."""
    desk = Desk(port=free_port())
    server = Controller(desk, hostname="127.0.0.1", port=desk.port)
    server.start()
    smtp(settings, desk.port)
    yield desk
    server.stop()


def smtp(settings: Any, port: int) -> None:
    """Send over SMTP to a port of this machine."""
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": port, "timeout": 5},
        }
    }


@pytest.fixture
def asking(cast: Cast) -> None:
    """Acme asks after every resolution."""
    scene.campaign(cast)
