"""Help desks, one file each: how to fetch from one, how to trust its webhooks, what it says.

`CONNECTORS` is the one list. A connector's `tell` is pure: from the bytes of a message to `Told`;
everything else (storing, cursors, retries, folding) is the same for all and stands in
tickets/inbound.py and tickets/pulling.py. A new help desk is one file here, its line in the list
and its fixtures.
"""

from __future__ import annotations

from tickets.connectors.base import Connector
from tickets.connectors.chatwoot import Chatwoot
from tickets.connectors.freshdesk import Freshdesk
from tickets.connectors.generic import Generic
from tickets.connectors.github import GitHub
from tickets.connectors.gitlab import GitLab
from tickets.connectors.jira import Jira
from tickets.connectors.servicenow import ServiceNow
from tickets.connectors.zammad import Zammad
from tickets.connectors.zendesk import Zendesk

GENERIC = Generic()

CONNECTORS: dict[str, Connector] = {
    one.key: one
    for one in (
        GENERIC,
        Zammad(),
        GitHub(),
        GitLab(),
        Jira(),
        ServiceNow(),
        Zendesk(),
        Freshdesk(),
        Chatwoot(),
    )
}


def connector_of(kind: str) -> Connector:
    """The connector of a connection's kind; files and tools speak the generic words."""
    return CONNECTORS.get(kind, GENERIC)
