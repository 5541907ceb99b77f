"""The operator sees what did not go out, and decides about the uncertain."""

from __future__ import annotations

import io
import uuid

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.tenancy.context import acting
from surveys.models import Invitation
from tests import roles
from tests.factories import Cast
from tests.surveys.asking import HOUR, NOON, decide, event_of, resolved


def told(*arguments: str) -> str:
    output = io.StringIO()
    with roles.as_role(roles.WORKER):
        call_command("unsent_invitations", "--organisation", "acme", *arguments, stdout=output)
    return output.getvalue()


def test_an_uncertain_invitation_is_listed_and_sent_again_on_request(
    cast: Cast, asking: None
) -> None:
    resolution, other = resolved(cast), resolved(cast)
    decide(cast, NOON + HOUR)
    assert told() == "0 invitations did not go out.\n"
    message = event_of(resolution).invitation.message_id
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        Invitation.objects.filter(message_id=message).update(
            state="uncertain", last_error="twice nobody could say"
        )
    listed = told()
    assert str(message) in listed
    assert "twice nobody could say" in listed
    assert "example.org" not in listed
    assert "is queued" in told("--send-again", str(message))
    assert event_of(resolution).invitation.state == "queued"
    for wrong in (event_of(other).invitation.message_id, uuid.uuid4()):
        with pytest.raises(CommandError, match="nothing was changed"):
            told("--send-again", str(wrong))
