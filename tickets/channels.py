"""Which channels are in writing, and in which a conversation ends while somebody waits. Pure.

Help desks name channels in words of their own. A word that is in neither list is not guessed.
"""

from __future__ import annotations

from enum import StrEnum


class Channel(StrEnum):
    """How somebody asked, as far as first contact is concerned (METRICS.md M16)."""

    WRITTEN = "written"
    #: By telephone, chat, messenger or at a desk.
    LIVE = "live"
    UNKNOWN = "unknown"


#: Without case and signs: "E-Mail" is `email`, "self_service" is `selfservice`.
_WRITTEN = frozenset(
    {"mail", "email", "letter"}
    | {"web", "webform", "form", "formular", "portal", "webportal", "selfservice", "issue"}
    | {"feedbackwidget"}
)
_LIVE = frozenset(
    {"phone", "telephone", "telefon", "voice", "call", "inboundcall", "phonecall"}
    | {"chat", "livechat", "webchat", "webwidget", "virtualagent", "messaging", "nativemessaging"}
    | {"sms", "twiliosms", "whatsapp", "telegram", "line", "messenger"}
    | {"walkin", "walkup", "inperson"}
)


def channel_of(said: str) -> Channel:
    """The sort of channel that a help desk's word names."""
    word = "".join(sign for sign in said.casefold() if sign.isalnum())
    if word in _WRITTEN:
        return Channel.WRITTEN
    return Channel.LIVE if word in _LIVE else Channel.UNKNOWN
