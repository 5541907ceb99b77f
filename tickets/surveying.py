"""What a source says of its tickets in the last 30 days: its words with counts, and who acts.

Asked on the mapping page (`ask`), answered by a worker's sweep (`sweep`), because pages may not
read the log. Before a source is live its stored deliveries are read instead; nothing is written
but the answer. A survey that carries a draft is answered with what the draft would make of the
same tickets (tickets/previewing.py).
"""

from __future__ import annotations

import difflib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import Error

from portal.catalogue.models import Capability
from portal.tenancy import due
from portal.tenancy.context import acting
from portal.tenancy.hints import hint
from tickets import reading
from tickets.canonical import Event, EventType
from tickets.connectors import connector_of
from tickets.connectors.base import Connector, Guess
from tickets.lens import NOTHING
from tickets.material import Material
from tickets.models import Connection, MappingSurvey
from tickets.previewing import preview
from tickets.reading import Reader

#: The kind of `Due` row that leads a worker to surveys that were asked for.
SURVEY = "survey"
#: Examples named for each word.
EXAMPLES = 3
#: An answered survey is of no use after this.
KEPT = timedelta(days=7)

STATUS, PRIORITY = "status", "priority"

logger = logging.getLogger(__name__)


def ask(
    connection: Connection, *, at: datetime, draft: Mapping[str, Any] | None = None
) -> MappingSurvey:
    """Let a worker look at a source's words, or preview a draft of what they mean."""
    survey = MappingSurvey.objects.create(
        tenant_id=connection.tenant_id, connection=connection, draft=draft or {}, asked_at=at
    )
    due.note(connection.tenant_id, SURVEY, at)
    hint("survey_sources")
    return survey


def sweep(now: datetime, *, read: Reader = reading.read) -> int:
    """Answer what was asked, as the worker; return the number of answers.

    `read` reads deliveries: in the product in a process apart (tickets/apart.py).
    """
    answered = 0
    for tenant_id in due.tenants_due(SURVEY, now):
        lease = due.claim(tenant_id, SURVEY, now)
        if lease is None:
            continue  # another worker was faster
        with acting(tenant_id):
            surveys = MappingSurvey.objects.for_tenant(tenant_id)
            surveys.filter(asked_at__lt=now - KEPT).delete()
            waiting = list(
                surveys.filter(answered_at=None).select_related("connection").order_by("pk")
            )
        for survey in waiting:
            _answer(survey, now, read)
        answered += len(waiting)
        due.settle(tenant_id, SURVEY, lease)
    return answered


def _answer(survey: MappingSurvey, now: datetime, read: Reader) -> None:
    """Answer one survey; what cannot be read is said in the answer, and stops no other."""
    with acting(survey.tenant_id):
        try:
            material = Material.of(survey.connection, now, read)
            found = preview(material, survey.draft) if survey.draft else _words(material)
        except Error:
            raise  # the database's trouble: the sweep comes back
        except Exception as error:
            # Nobody thought of what the deliveries hold; whoever asked learns that it failed.
            logger.exception("survey %s could not be made", survey.pk)
            found = {"failed": f"{type(error).__name__}: {error}"[:300]}
        survey.found, survey.answered_at = found, now
        survey.save(update_fields=["found", "answered_at"])


# --- words ---------------------------------------------------------------------------------------


def words_in(event: Event) -> Iterator[tuple[str, str]]:
    """The source's own words in an event, each with its kind."""
    data = event.data
    if "said" in data and event.type is EventType.STATUS_CHANGED:
        yield STATUS, str(data["said"])
    if "said" in data and event.type is EventType.PRIORITY_CHANGED:
        yield PRIORITY, str(data["said"])
    if "state_said" in data:
        yield STATUS, str(data["state_said"])
    if "severity_said" in data:
        yield PRIORITY, str(data["severity_said"])
    for kind, word in data.get("facets", {}).items():
        yield str(kind), str(word or "")


def _words(material: Material) -> dict[str, Any]:
    """Every word with its tickets, what it probably means, and who acts without a role."""
    tickets: dict[tuple[str, str], list[str]] = defaultdict(list)
    for story in material.stories:
        for said in {said for event in story.events for said in words_in(event)}:
            tickets[said].append(story.name)
    connection = material.connection
    connector = connector_of(connection.kind)
    names = dict(Capability.objects.for_tenant(connection.tenant_id).values_list("name", "slug"))
    return {
        **_about(material),
        "words": [
            {
                "kind": kind,
                "word": word,
                "tickets": len(on),
                "examples": sorted(on)[:EXAMPLES],
                "guess": _guessed(suggest(connector, kind, word, names)),
            }
            for (kind, word), on in sorted(
                tickets.items(), key=lambda entry: (entry[0][0], -len(entry[1]), entry[0][1])
            )
        ],
        "unknown_accounts": [
            {"account": name, "acts": roughly(acts)}
            for name, acts in sorted(material.unknown.items(), key=lambda e: (-e[1], e[0]))
        ],
    }


def _about(material: Material) -> dict[str, Any]:
    return {
        "tickets": len(material.stories),
        "read_from": material.read_from,
        "since": material.since.isoformat(),
        "cut": material.cut,
        "refused": [
            {"reason": reason, "deliveries": number}
            for reason, number in sorted(material.refused.items(), key=lambda e: (-e[1], e[0]))
        ][:20],
    }


def roughly(acts: int) -> str:
    """How much somebody did, as roughly as it takes to see whether they matter.

    A count would be a figure of one person; those who map sources may not read any.
    """
    if acts < 10:
        return "fewer than 10"
    return "10 to 99" if acts < 100 else "100 or more"


def suggest(
    connector: Connector, kind: str, word: str, capabilities: Mapping[str, str]
) -> Guess | None:
    """What a word probably means. `capabilities` are slugs by name."""
    if kind == STATUS:
        return connector.guess_state(word)
    if kind == PRIORITY:
        return connector.guess_severity(word)
    return guess_capability(word, capabilities)


def guess_capability(word: str, capabilities: Mapping[str, str]) -> Guess | None:
    """The capability whose name or slug is most like the word, if any is; NOTHING for no word."""
    said = _plain(word)
    if not said:
        return Guess(NOTHING, 0.95, "it is empty")
    best, likeness = "", 0.0
    for name, slug in capabilities.items():
        for written in {_plain(name), _plain(slug)}:
            alike = difflib.SequenceMatcher(None, said, written).ratio()
            if alike > likeness:
                best, likeness = slug, alike
    if likeness >= 1:
        return Guess(best, 0.95, "the service has the same name")
    if likeness >= 0.6:
        return Guess(best, round(likeness * 0.8, 2), "the service has a similar name")
    return None


def _plain(words: str) -> str:
    return " ".join(words.lower().replace("-", " ").replace("_", " ").split())


def _guessed(guess: Guess | None) -> dict[str, Any] | None:
    if guess is None:
        return None
    return {"meaning": guess.meaning, "confidence": guess.confidence, "why": guess.why}
