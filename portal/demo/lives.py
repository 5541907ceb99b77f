"""What happened to the demo's tickets: replies, waiting, reopens, denials and detours."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from portal.catalogue.business_time import BusinessTime
from portal.demo import SEED
from portal.demo.world import SERVICES, Agent, Service, agents, requesters
from tickets.canonical import (
    ActorKind,
    Event,
    EventType,
    Flag,
    Meaning,
    ResolutionKind,
    Severity,
    State,
)
from tickets.news import TicketNews, event_key

#: What people write about by service: the subject, and the words beneath it.
_ASKED = {
    "accounts-and-passwords": {
        "Cannot sign in": "After the holidays it says that my account does not exist.",
        "Password expired": "It expired over the weekend. How do I set a new one from home?",
        "Account locked again": "Third time this month, and I typed it slowly.",
    },
    "email-and-calendar": {
        "Shared mailbox is missing": "The mailbox of our team is gone since yesterday.",
        "Invitations arrive twice": "Every invitation comes twice, with different times.",
        "Mailbox full": "I cannot send any more. What may be deleted?",
    },
    "network-and-wifi": {
        "No Wi-Fi on floor 3": "Nobody on the north side has Wi-Fi; the cable works.",
        "VPN drops every hour": "It drops every hour, on the hour, and takes my session along.",
        "Video calls freeze": "Pictures freeze while sound goes on, in every room.",
    },
    "laptops-and-devices": {
        "Laptop does not charge": "The light stays off with two different chargers.",
        "New screen needed": "Mine has stripes since it was moved.",
        "Docking station dead": "Nothing happens when I plug the laptop in.",
    },
    "business-applications": {
        "Order form shows an error": "Error 4711 when I save an order with more than ten lines.",
        "Report is empty": "The monthly report has a heading and no rows.",
        "Export hangs": "It says 99 % and stays there.",
    },
    "access-rights": {
        "Access to the sales folder": "I joined sales on Monday and see nothing of the folder.",
        "Rights for the new project": "Five of us need to write there, see the list.",
        "Read-only again": "I could change files last week, now I only read them.",
    },
    "software-requests": {
        "Drawing program needed": "For the plans of the new building, one place is enough.",
        "Editor for video": "We are to make short films for the intranet.",
        "Licence for the team": "Four licences, our lead has agreed.",
    },
    "payroll-questions": {
        "Overtime missing on the slip": "Six hours of October are not there.",
        "Wrong tax class": "It is still the one of last year.",
        "Bonus not paid": "It was promised for this month.",
    },
    "leave-and-absence": {
        "How many days are left": "Where do I see what is left of last year?",
        "Parental leave": "From when do I have to say it, and to whom?",
        "Leave not shown": "It was agreed, and the calendar does not show it.",
    },
    "contracts-and-letters": {
        "Employment letter for the bank": "They need it by Friday, with my salary.",
        "Contract copy": "I cannot find mine any more.",
        "Reference": "Two pages in English, if that can be had.",
    },
    "onboarding": {
        "New colleague on the first": "She begins on the first and needs everything of a planner.",
        "Badge not ready": "He stands at the gate without one.",
        "Equipment for a starter": "Laptop, screen and telephone, second floor.",
    },
    "contract-review": {
        "Review of a supplier contract": "Twelve pages; the liability clause is new.",
        "Changed terms": "They changed their terms. May we sign?",
        "Framework agreement": "Ours ends in spring, here is the draft.",
    },
    "data-protection": {
        "May we share this list": "Names and rooms, with the catering company.",
        "Deletion request": "A former customer wants everything deleted.",
        "Processing agreement": "For the new newsletter tool.",
    },
}
_REASONS = ("needs a specialist", "vendor has to act", "affects several teams", "rights missing")
#: Tickets arrive by weekday (Monday first) and hour of day.
_BY_WEEKDAY = (1.35, 1.1, 1.0, 1.0, 0.85, 0.04, 0.03)
_BY_HOUR = (0, 0, 0, 0, 0, 1, 3, 8, 12, 13, 12, 10, 7, 9, 10, 8, 5, 2, 1, 1, 1, 0, 0, 0)
_PROBLEM_NUMBERS = {"problem": 400, "defect": 7_000}
_BACK = ("It happened again this morning.", "Still the same message.", "Only half of it works now.")
_HOLLOW = (
    "Thank you for your message. We are looking into it.",
    "We have received your request and will come back to you.",
)
_HELPFUL = (
    "Please sign out and in once; the change reaches you with the next sign-in.",
    "This is set now. Could you try it again and tell us what you see?",
    "We found the cause and changed it for your whole team.",
    "The form for this is under Services; I filled it in for you this time.",
)
#: The words of messages are kept as long as the product keeps them.
WORDS_KEPT = timedelta(days=30)


@dataclass
class _Life:
    """One ticket being told."""

    name: str
    service: Service
    agent: Agent
    requester: tuple[str, str]
    random: random.Random
    business: BusinessTime
    events: list[Event] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)

    def tell(self, type_: EventType, at: datetime, *, by: str = "agent", public: bool = False,
             text: str = "", **data: object) -> None:  # fmt: skip
        """Add one event, and what was written with it."""
        position = len(self.events)
        kind = ActorKind(by)
        actor = self.agent.email if kind is ActorKind.AGENT else None
        key = event_key(self.name, position)
        if text:
            self.texts[key] = text
        self.events.append(
            Event(
                key=key,
                type=type_,
                at=at.replace(microsecond=0),
                sequence=f"{position:04}",
                actor_kind=kind,
                actor_key=actor,
                public=public,
                data=data,
            )
        )

    def after(self, start: datetime, hours: float) -> datetime:
        """The instant some business hours later, spread as real waiting is."""
        spread = self.random.lognormvariate(0, 0.9)
        return self.business.deadline(start, max(60, hours * 3600 * spread))


def tell_all(
    *, starts_at: datetime, ends_at: datetime, business: BusinessTime
) -> Iterator[TicketNews]:
    """News of every ticket opened in the stretch, without what would happen after its end.

    The lives depend on the seed and the order of weeks alone, so every clone tells the same.
    """
    dice = random.Random(SEED)
    staff = agents()
    people = requesters()
    number = 1000
    week = starts_at
    while week < ends_at:
        for service in SERVICES:
            for _ in range(_poisson(dice, service.weekly)):
                number += 1
                opened_at = _arrival(dice, week)
                life = _Life(
                    f"NW-{number}", service, _agent(dice, staff, service), _requester(dice, people),
                    random.Random(f"{SEED}:{number}"), business,
                )  # fmt: skip
                _live(life, opened_at, staff)
                news = _news(life, ends_at)
                if news is not None:
                    yield news
        week += timedelta(days=7)


def _news(life: _Life, ends_at: datetime) -> TicketNews | None:
    events = [event for event in life.events if event.at <= ends_at]
    if not events:
        return None
    asked = _ASKED[life.service.slug]
    subject = life.random.choice(tuple(asked))
    life.texts[events[0].key] = asked[subject]
    kept = {event.key for event in events if event.at > ends_at - WORDS_KEPT}
    return TicketNews(
        life.name,
        events,
        subject=subject,
        channel=str(events[0].data.get("channel", "")),
        requester=life.requester[0],
        requester_email=life.requester[1],
        texts={key: text for key, text in life.texts.items() if key in kept},
    )


def _live(life: _Life, opened_at: datetime, staff: list[Agent]) -> None:
    dice, service = life.random, life.service
    severity = dice.choices(list(Severity), service.severities)[0]
    life.tell(
        EventType.CREATED, opened_at, by="requester", public=True,
        severity=severity, capability=service.slug, requester=life.requester[0],
        channel=dice.choices(("portal", "mail", "phone", "chat"), (5, 3, 2, 1))[0],
    )  # fmt: skip
    if dice.random() < 0.012:
        life.tell(EventType.FLAGGED, opened_at + timedelta(minutes=3), by="system",
                  flag=dice.choice((Flag.SPAM, Flag.TEST)))  # fmt: skip
        return
    life.tell(EventType.GROUP_CHANGED, opened_at, by="automation", to=service.group, automatic=True)
    taken_at = life.after(opened_at, 0.25)
    life.tell(EventType.ASSIGNED, taken_at, to=life.agent.email)
    if dice.random() < 0.02:
        life.tell(EventType.STATUS_CHANGED, life.after(taken_at, 3), by="requester",
                  to=State.WITHDRAWN)  # fmt: skip
        return
    at = _reply(life, taken_at, severity)
    at = _detours(life, at, staff)
    _resolve(life, at, severity)
    _link(life, at)


def _link(life: _Life, at: datetime) -> None:
    """Some of what IT works on is a problem that others have too."""
    dice = random.Random(f"{SEED}:{life.name}:problem")
    if life.service.domain != "it" or dice.random() >= 0.15:
        return
    known = "defect" if dice.random() < 0.3 else "problem"
    number = _PROBLEM_NUMBERS[known] + 10 * list(_ASKED).index(life.service.slug)
    name = f"{known[:3].upper()}-{number + dice.randrange(3)}"
    life.tell(EventType.PROBLEM_LINKED, at, to=name, kind=known)


def _reply(life: _Life, at: datetime, severity: Severity) -> datetime:
    dice = life.random
    haste = {"critical": 0.1, "high": 0.35, "medium": 0.8, "low": 1.4}[severity]
    at = life.after(at, 0.5 * haste)
    if dice.random() < life.service.hollow:
        life.tell(EventType.MESSAGE, at, public=True, meaning=Meaning.NOT_MEANINGFUL,
                  text=_written(life, _HOLLOW))  # fmt: skip
        at = life.after(at, 1.0 + life.service.hours * 0.5 * haste)
    life.tell(EventType.MESSAGE, at, public=True, meaning=Meaning.MEANINGFUL,
              text=_written(life, _HELPFUL))  # fmt: skip
    return at


def _written(life: _Life, words: tuple[str, ...]) -> str:
    """With dice of its own: other words tell the same story."""
    return random.Random(f"{SEED}:{life.name}:words:{len(life.events)}").choice(words)


def _detours(life: _Life, at: datetime, staff: list[Agent]) -> datetime:
    dice = life.random
    if dice.random() < 0.22:
        life.tell(EventType.STATUS_CHANGED, at, to=State.WAITING_ON_REQUESTER)
        at = life.after(at, 6)
        life.tell(EventType.MESSAGE, at, by="requester", public=True)
        life.tell(EventType.STATUS_CHANGED, at, by="requester", to=State.OPEN)
    if dice.random() < life.service.escalate:
        kind = "hierarchical" if dice.random() < 0.2 else "functional"
        life.tell(EventType.ESCALATED, at, kind=kind, reason=dice.choice(_REASONS))
        groups = sorted({agent.group for agent in staff} - {life.service.group})
        life.tell(EventType.GROUP_CHANGED, at, to=dice.choice(groups))
        at = life.after(at, 3)
        if dice.random() < 0.35:
            life.tell(EventType.GROUP_CHANGED, at, to=life.service.group)
    return at


def _resolve(life: _Life, at: datetime, severity: Severity) -> None:
    dice, service = life.random, life.service
    haste = {"critical": 0.25, "high": 0.5, "medium": 1.0, "low": 1.6}[severity]
    at = life.after(at, service.hours * haste)
    if dice.random() < service.deny:
        life.tell(EventType.FLAGGED, at, flag=Flag.POLICY_DENIAL)
    if dice.random() < 0.86:
        life.tell(EventType.FLAGGED, at, flag=Flag.ROUTINE, value=dice.random() < service.routine)
    if dice.random() < 0.4:  # the others were answered for good by the first helpful reply
        life.tell(EventType.MESSAGE, at, public=True, meaning=Meaning.MEANINGFUL)
    inactive = dice.random() < 0.03
    life.tell(
        EventType.STATUS_CHANGED, at, by="automation" if inactive else "agent", to=State.RESOLVED,
        resolution=ResolutionKind.INACTIVITY if inactive else ResolutionKind.NORMAL,
    )  # fmt: skip
    again, luck = service.reopen, dice.random()
    for _ in range(3):
        if luck >= again:
            break
        back = at + timedelta(hours=dice.lognormvariate(3.4, 1.0))
        life.tell(EventType.MESSAGE, back, by="requester", public=True,
                  text=_written(life, _BACK))  # fmt: skip
        life.tell(EventType.STATUS_CHANGED, back, by="requester", to=State.OPEN)
        life.tell(EventType.MESSAGE, life.after(back, 0.8), public=True, meaning=Meaning.MEANINGFUL)
        at = life.after(back, 1 + service.hours * 0.6 * haste)
        life.tell(EventType.STATUS_CHANGED, at, to=State.RESOLVED)
        again, luck = again * 0.5, dice.random()
    if luck < again + 0.03:
        thanks = at + timedelta(minutes=dice.randint(5, 240))
        life.tell(EventType.MESSAGE, thanks, by="requester", public=True)
        life.tell(EventType.STATUS_CHANGED, thanks, by="requester", to=State.OPEN)
        life.tell(EventType.STATUS_CHANGED, thanks + timedelta(minutes=20), to=State.RESOLVED)


def _arrival(dice: random.Random, week: datetime) -> datetime:
    day = dice.choices(range(7), _BY_WEEKDAY)[0]
    hour = dice.choices(range(24), _BY_HOUR)[0]
    return week + timedelta(days=day, hours=hour, seconds=dice.randrange(3600))


def _agent(dice: random.Random, staff: list[Agent], service: Service) -> Agent:
    team = [agent for agent in staff if agent.group == service.group]
    return dice.choices(team, [1 / (1 + 0.25 * n) for n in range(len(team))])[0]


def _requester(dice: random.Random, people: list[tuple[str, str]]) -> tuple[str, str]:
    """A few people ask often, many seldom."""
    return (
        people[min(int(dice.paretovariate(0.9) * 6) - 6, len(people) - 1)]
        if (dice.random() < 0.25)
        else dice.choice(people)
    )


def _poisson(dice: random.Random, mean: float) -> int:
    """Knuth's method; means here are small."""
    limit, count, product = 2.718281828459045**-mean, 0, dice.random()
    while product > limit:
        count += 1
        product *= dice.random()
    return count
