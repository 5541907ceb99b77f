"""Channels in the words of help desks: in writing, in a conversation, or not known."""

from __future__ import annotations

import pytest

from tickets.channels import Channel, channel_of


@pytest.mark.parametrize(
    ("said", "channel"),
    [
        # Zendesk, Freshdesk, Zammad, ServiceNow, Chatwoot, GitLab and GitHub, and imports
        *((word, Channel.WRITTEN) for word in ("mail", "email", "E-Mail", "web", "portal")),
        *((word, Channel.WRITTEN) for word in ("self-service", "Web form", "issue", "Email")),
        *((word, Channel.LIVE) for word in ("phone", "voice", "chat", "Walk-in", "WebWidget")),
        *((word, Channel.LIVE) for word in ("virtual_agent", "Whatsapp", "TwilioSms")),
        # Told, but nothing that says how somebody asked.
        *((word, Channel.UNKNOWN) for word in ("", "api", "rule", "source 12", "Inbound")),
        # We wrote first: nobody asked anything.
        ("outbound email", Channel.UNKNOWN),
    ],
)
def test_a_word_of_a_help_desk_names_a_sort_of_channel_or_none(said: str, channel: Channel) -> None:
    assert channel_of(said) is channel
