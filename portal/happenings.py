"""What happened to a service, as it is marked on the service's courses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from governance.improvements import marks
from metrics.answering_signals import may_answer
from metrics.models import Occurrence
from metrics.occurring import NotTold, happened, occurrences_of, take_back, tell
from metrics.trends import Happened
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member

LONGEST_WORDS = 200


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    capability: Capability
    may_tell: bool
    occurrences: list[Occurrence]
    kinds: list[tuple[str, str]]
    #: Services that somebody may mark together.
    theirs: list[Capability]
    refused: str = ""
    longest: int = LONGEST_WORDS


def known_to_have_happened(capability: Capability) -> list[Happened]:
    """What every course of a service marks: what somebody told, and its improvement actions."""
    return [*happened(occurrences_of(capability)), *marks(capability)]


def page(*, member: Member, slug: str) -> Page | None:
    """The page of a service; None where the member may not read it live."""
    live = list(
        live_capabilities(member.organisation.pk, person=member.person, roles=member.roles)
        .select_related("domain", "tenant")
        .order_by("name")
    )
    capability = next((one for one in live if one.slug == slug), None)
    if capability is None:
        return None
    return Page(
        capability=capability,
        may_tell=may_answer(member.person, member.roles, capability),
        occurrences=occurrences_of(capability),
        kinds=list(Occurrence.Kind.choices),
        theirs=[one for one in live if may_answer(member.person, member.roles, one)],
    )


def take(
    *, page: Page, member: Member, said: Mapping[str, str], slugs: list[str], at: datetime
) -> str:
    """Mark what a form says, or take a mark off; returns why it was refused, if it was."""
    try:
        if "take_back" in said:
            named = said["take_back"]
            occurrence = next((one for one in page.occurrences if str(one.pk) == named), None)
            if occurrence is None:
                return "This mark is not there any more."
            take_back(occurrence=occurrence, by=member.person, roles=member.roles, at=at)
            return ""
        try:
            day = date.fromisoformat(said.get("day", ""))
            kind = Occurrence.Kind(said.get("kind", ""))
        except ValueError:
            return "Choose a day, and what sort of thing it was."
        words = said.get("words", "")
        if len(words) > LONGEST_WORDS:
            return f"This is longer than {LONGEST_WORDS} characters."
        tell(
            tenant=member.organisation,
            capabilities=[one for one in page.theirs if one.slug in slugs],
            kind=kind,
            day=day,
            words=words,
            by=member.person,
            roles=member.roles,
            at=at,
        )
    except NotTold as refusal:
        return str(refusal)
    return ""
