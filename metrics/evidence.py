"""What to read beside a number: the words of people behind a reading (METRICS.md 1.15).

Each metric names its kinds of evidence (`metrics/pairs.py`); each kind is fetched here. Comments
come from released batches only, at least five at a time, with the week they were written in and
nothing that leads to a ticket, a requester or an agent (TRUST.md T14, B2); quality reviews
likewise, because a ticket leads to who worked on it. Messages, subjects and reasons name their
tickets, which whoever reads live figures may see. Names, addresses and handles of the staff are
masked everywhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL

from metrics import columns, recurring, words
from metrics.contradicting import contradicts
from metrics.definitions import BY_KEY
from metrics.evaluating import epoch, passed_on, released_in, went_up
from metrics.flow import took_many_turns
from metrics.masking import Mask
from metrics.measure import Reader, Slice
from metrics.models import Observation, ObservationAnswer, QualityReview
from metrics.pairs import OBSERVED, Pair
from metrics.rows import Rows
from metrics.rubric import RUBRIC, VERSION, ErrorIn, Mark
from metrics.scales import SCALES
from metrics.undecided import count_undecided, undecided
from surveys.fatigue import Reason
from surveys.models import Comment, Sentiment
from surveys.suggesting_themes import speaks_of
from tickets.models import Escalation, MessageText, Resolution, WorkItem

#: Fewer comments or reviews than this are not shown: a single one leads to its author.
SMALLEST_BATCH = 5
#: A help desk tells the message and the reopen it causes as two events, not quite at once.
AROUND = timedelta(minutes=5)
#: First replies are looked for among so few of the latest items of each severity, and among so many
#: where the words of those are not kept: older words are emptied anyway.
FEW, LATEST = 10, 200


@dataclass(frozen=True, slots=True)
class TicketName:
    """How a ticket is known: its source and the source's own id."""

    source: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of evidence in words, where it comes from, and the tickets it is about."""

    text: str
    source: str = ""
    tickets: tuple[TicketName, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A kind of evidence: rows, or words that say why there are none."""

    title: str
    rows: tuple[Row, ...] = ()
    words: str = ""
    #: Which of `Pair`; NOT_KEPT for what is collected nowhere.
    kind: str = ""


NOT_KEPT = "not_kept"


def _mask(reader: Reader) -> Mask:
    return reader.once("mask", lambda: Mask.of(reader.tenant))


# --- what people said -----------------------------------------------------------------------------


def comments(reader: Reader, cut: Slice, *, policy_denial: bool = False) -> Piece:
    """Released comments of the slice, the least satisfied first."""
    title = "What people wrote"
    told = _comments(reader, cut, policy_denial=policy_denial)
    if len(told) < SMALLEST_BATCH:
        return Piece(title, words="Comments are shown once at least five are there.")
    rows = _told(reader, cut, told[:COMMENTS_SHOWN])
    return Piece(title, rows, f"{len(told)} comments in this period, the least satisfied first.")


def mentioning(
    reader: Reader, cut: Slice, patterns: Sequence[str]
) -> tuple[tuple[int, ...], int] | None:
    """How many released comments of the slice hold a phrase of each pattern, and of how many.

    None where there are fewer than five; what was emptied meanwhile is not there.
    """
    events = [one.event for one in _comments(reader, cut, policy_denial=False)]
    found = Comment.objects.for_tenant(reader.tenant).filter(answer__event__in=_listed(events))
    texts = list(found.exclude(text="").values_list("text", flat=True))
    if len(texts) < SMALLEST_BATCH:
        return None
    return tuple(sum(speaks_of(text, each) for text in texts) for each in patterns), len(texts)


def contradicting_comments(reader: Reader, cut: Slice) -> Piece:
    """Of the released comments those that say something else than their score (M08)."""
    title = "Words against their score"
    all_of_them = _comments(reader, cut, policy_denial=False)
    if len(all_of_them) < SMALLEST_BATCH:
        return Piece(title, words="Comments are shown once at least five are there.")
    told = _against(all_of_them)
    number = words.count(len(all_of_them), "comment", "comments")
    rows = _told(reader, cut, told[:COMMENTS_SHOWN])
    return Piece(title, rows, f"{len(told)} of {number} in this period.")


def contradicting(sentiment: str) -> Q:
    """Comments whose sentiment, in that field, says something else than their score."""
    against = Q(pk__in=[])
    for key, scale in SCALES.items():
        on = Q(answer__event__scale=key)
        happy, unhappy = sorted(scale.satisfied), sorted(scale.dissatisfied)
        against |= on & Q(answer__score__in=happy, **{sentiment: Sentiment.NEGATIVE})
        against |= on & Q(answer__score__in=unhappy, **{sentiment: Sentiment.POSITIVE})
    return against


#: So many comments of a sort are shown.
COMMENTS_SHOWN = 4


class _Comment(NamedTuple):
    """An answer with words, of which nothing is fetched but what is shown."""

    event: int
    score: int
    policy_denial: bool
    #: Whether it says something else than its score, as far as it was read.
    contradicts: bool


def _comments(reader: Reader, cut: Slice, *, policy_denial: bool) -> list[_Comment]:
    """The released comments of a slice, the least satisfied first."""
    told = reader.once(("comments", cut), lambda: _released_comments(reader, cut))
    return [one for one in told if one.policy_denial is policy_denial]


def _released_comments(reader: Reader, cut: Slice) -> list[_Comment]:
    rows = reader.facts(cut).rows(columns.SURVEYED)
    rows = rows[released_in(rows, epoch(reader.as_of))]
    whole = replace(cut, severity=None, segment=None)
    worded = reader.facts(whole).rows(columns.THEMES)["event"]
    rows = rows[np.isin(rows["event"], worded)]
    rows = rows[np.lexsort((rows["event"], -rows["answered"], rows["score"]))]
    against = np.zeros(len(rows), dtype=bool)
    for key in SCALES:
        mine = rows["scale"] == columns.SCALE_KEYS.index(key) + 1
        against[mine] = contradicts(rows[mine])
    denied = rows["policy_denial"] == 1
    told = (rows["event"], rows["score"], denied, against)
    return [_Comment(*one) for one in zip(*(column.tolist() for column in told), strict=True)]


def _told(reader: Reader, cut: Slice, told: Sequence[_Comment]) -> tuple[Row, ...]:
    """The words of some of those that a page shows; what was emptied meanwhile is not there."""
    found = reader.once(("words", cut), lambda: _words_shown(reader, cut))
    mask = _mask(reader)
    return tuple(
        Row(mask(text), f"rated {one.score}, week {week_of(at)}")
        for one in told
        for text, at in found.get(one.event, ())
    )


def _words_shown(reader: Reader, cut: Slice) -> dict[int, list[tuple[str, datetime]]]:
    """Text and instant of the comments of each sort that are shown, by event; one query."""
    others = _comments(reader, cut, policy_denial=False)
    sorts = (others, _against(others), _comments(reader, cut, policy_denial=True))
    shown = {one.event for sort in sorts for one in sort[:COMMENTS_SHOWN]}
    found = Comment.objects.for_tenant(reader.tenant).filter(answer__event__in=shown)
    told = found.exclude(text="").values_list("answer__event", "text", "at")
    return {event: [(text, at)] for event, text, at in told}


def _against(told: Sequence[_Comment]) -> list[_Comment]:
    return [one for one in told if one.contradicts]


def reopen_messages(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """What was written when work came back: the message at the reopen, the latest first."""
    rows_ = reader.facts(cut).rows(columns.RESOLUTIONS)
    came_back = rows_[(rows_["reopened"] == 1) & (rows_["policy_denial"] == 0)]
    latest = _ranked(came_back, "reopen_at")[:LATEST]
    at_reopen = MessageText.objects.filter(
        tenant=OuterRef("tenant"),
        ticket=OuterRef("ticket"),
        at__gte=OuterRef("reopen_at") - AROUND,
        at__lte=OuterRef("reopen_at") + AROUND,
    )
    told = (
        _resolutions(reader, cut)
        .filter(work_item__in=_listed(latest), reopened=True, policy_denial=False)
        .annotate(text=Subquery(at_reopen.order_by("at", "key").values("text")[:1]))
        .exclude(text=None)
        .order_by("-reopen_at", "-id")
    )
    count = words.count(len(np.unique(came_back["item"])), "item came", "items came")
    rows = _of_tickets(reader, told, "text", limit=limit)
    title = "What they said when they came back"
    if not rows:
        return Piece(title, words=f"{count} back; their messages are not kept here.")
    return Piece(title, rows, f"{count} back in this period.")


def repeat_contacts(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """What the second ticket was about where somebody needed us again (METRICS.md M17)."""
    firsts = reader.facts(cut).rows(columns.RESOLUTIONS)
    again = firsts[(firsts["number"] == 1) & (firsts["repeat_at"] > 0)]
    latest = _ranked(again, "repeat_at")[:LATEST]
    second = WorkItem.objects.filter(
        tenant=OuterRef("tenant"),
        requester=OuterRef("requester"),
        capability=OuterRef("capability"),
        opened_at=OuterRef("repeat_contact_at"),
    ).order_by("id")
    told = (
        WorkItem.objects.for_tenant(reader.tenant)
        .filter(pk__in=_listed(latest))
        .annotate(
            subject=Subquery(second.values("ticket__subject")[:1]),
            second_source=Subquery(second.values("ticket__connection__name")[:1]),
            second_id=Subquery(second.values("ticket__external_id")[:1]),
        )
        .exclude(subject__in=("", None))
        .order_by("-repeat_contact_at", "-id")
    )
    rows = _of_tickets(reader, told, "subject", "second_source", "second_id", limit=limit)
    needed = words.count(len(again), "item was", "items were")
    return Piece("What they came back with", rows, f"{needed} followed by another.")


def first_replies(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """The first replies themselves, the latest first, and whether they were taken to help (M13)."""
    title = "First replies"
    whole = replace(cut, severity=None)
    told = reader.once(
        ("first replies", whole, limit), lambda: _first_replies(reader, whole, limit)
    )
    mask = _mask(reader)
    rows = tuple(
        Row(mask(text), _meaning(said), (TicketName(source, external_id),))
        for _, severity, text, said, source, external_id in told
        if cut.severity in (None, severity)
    )[:limit]
    if not rows:
        return Piece(title, words="The words of first replies of this period are not kept here.")
    return Piece(title, rows)


Replied = tuple[datetime, str, str, str, str, str]


def _first_replies(reader: Reader, cut: Slice, limit: int) -> list[Replied]:
    """Opening, severity, text, meaning, source and id of the latest of each severity whose words
    are kept, `limit` at least where there are so many; asked once for all severities."""
    rows = reader.facts(cut).rows(columns.ITEMS)
    answered = rows[rows["first_response"] != columns.NONE_S]
    latest = {
        name: _ranked(answered[answered["severity"] == place], "at")
        for place, name in enumerate(columns.SEVERITIES, start=1)
    }
    told = _worded(reader, [item for items in latest.values() for item in items[:FEW]])
    enough = Counter(severity for _, severity, *_ in told)
    more = [name for name in latest if enough[name] < limit]
    told += _worded(reader, [item for name in more for item in latest[name][FEW:LATEST]])
    return sorted(told, key=lambda one: one[0], reverse=True)


def _worded(reader: Reader, items: Sequence[int]) -> list[Replied]:
    """As `_first_replies`, those of some items whose first reply's words are kept."""
    if not items:
        return []
    reply = MessageText.objects.filter(
        tenant=OuterRef("tenant"), ticket=OuterRef("ticket"), at=OuterRef("first_response_at")
    )
    told = (
        WorkItem.objects.for_tenant(reader.tenant)
        .filter(pk__in=_listed(items))
        .annotate(text=Subquery(reply.order_by("key").values("text")[:1]))
        .exclude(text=None)
    )
    source = ("ticket__connection__name", "ticket__external_id")
    fields = ("opened_at", "severity", "text", "first_reply_meaning", *source)
    return list(told.values_list(*fields))


def _meaning(said: str) -> str:
    return {"meaningful": "taken to help", "not_meaningful": "taken not to help"}.get(
        said, "not known whether it helped"
    )


# --- what the work went through -------------------------------------------------------------------


def many_hands(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """Work that went through most groups before it was resolved (METRICS.md M20)."""
    often = passed_on(reader.facts(cut))
    rows = _most(reader, often, "reassignments", "times", limit=limit)
    counted = words.count(len(often), "item was", "items were")
    return Piece("What was passed on most", rows, f"{counted} passed on twice or more.")


def many_turns(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """Work about which the requester had to write most often (METRICS.md M20b)."""
    often = took_many_turns(reader.facts(cut))
    rows = _most(reader, often, "messages", "messages", limit=limit)
    counted = words.count(len(often), "item", "items")
    many = int(reader.settings.many_turns)
    return Piece("Where they wrote most often", rows, f"{counted} with {many} messages or more.")


def _most(reader: Reader, often: Rows, number: str, unit: str, *, limit: int) -> tuple[Row, ...]:
    """The items with most of something, the latest first among equals."""
    most = _ranked(often, number, "at")[:limit]
    if not most:
        return ()
    times = dict(zip(often["item"].tolist(), often[number].tolist(), strict=True))
    named = _named(reader, most)
    mask = _mask(reader)
    return tuple(
        Row(mask(subject) or "no subject", f"{times[item]} {unit}", (ticket,))
        for item in most
        for subject, ticket in [named[item]]
    )


def _named(reader: Reader, items: Collection[int]) -> dict[int, tuple[str, TicketName]]:
    """Subject and name of the ticket of some items, by item."""
    if not items:
        return {}
    told = WorkItem.objects.for_tenant(reader.tenant).filter(pk__in=items)
    fields = ("ticket__subject", "ticket__connection__name", "ticket__external_id")
    return {
        item: (subject, TicketName(source, external_id))
        for item, subject, source, external_id in told.values_list("pk", *fields)
    }


def _ranked(rows: Rows, *by: str) -> list[int]:
    """The items of some rows, the largest first by the first column, then by the next."""
    order = np.lexsort((rows["item"], *(rows[name] for name in reversed(by))))
    ranked: list[int] = rows["item"][order[::-1]].tolist()
    return ranked


def asked_all_the_same(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """What was asked for although people could do it themselves (METRICS.md M24, M25)."""
    found = _items(reader, cut, "opened_at").filter(capability__self_service=True)
    told = found.exclude(ticket__subject="").order_by("-opened_at", "-id")
    rows = _of_tickets(reader, told, "ticket__subject", limit=limit)
    nothing = "" if rows else "Nothing on the self-service list was asked for."
    return Piece("What was asked for all the same", rows, nothing)


def shared_reports(reader: Reader, cut: Slice, *, limit: int = 4) -> Piece:
    """The latest report of each problem that keeps coming back, that of most people first."""
    title = "What keeps coming back"
    found = recurring.ranked(reader.facts(cut))
    if not found:
        return Piece(title, words="No problem is known to have come more than once.")
    latest = (
        WorkItem.objects.for_tenant(reader.tenant)
        .filter(
            problem__in=[one.problem for one in found[:limit]],
            opened_at__gte=reader.midnight(cut.start),
            opened_at__lt=reader.midnight(cut.until),
        )
        .order_by("problem", "-opened_at", "-id")
        .distinct("problem")
        .values_list("problem", "problem__external_id", "ticket__subject")
    )
    told = {problem: (name, subject) for problem, name, subject in latest}
    mask = _mask(reader)
    rows = []
    for one in found[:limit]:
        name, subject = told[one.problem]
        met = words.count(one.requesters, "person", "people")
        rows.append(
            Row(mask(subject or name), f"{name}: {met}, {words.count(one.items, 'item', 'items')}")
        )
    return Piece(
        title, tuple(rows), f"{words.count(len(found), 'problem', 'problems')} came more than once."
    )


def escalation_reasons(reader: Reader, cut: Slice) -> Piece:
    """Why help was needed from further up, the most frequent reason first.

    Of the items that were resolved in the period, and of those that were open at its end.
    """
    whole = replace(cut, severity=None)
    told = reader.once(("escalations", whole), lambda: _escalations(reader, whole))
    mask = _mask(reader)
    rows = tuple(
        Row(mask(reason), words.count(count, "time", "times"), (ticket,))
        for reason, count, ticket in told.get(cut.severity, ())
    )
    return Piece("Why it was escalated", rows, "" if rows else "Nothing was escalated.")


#: So many reasons are shown.
REASONS_SHOWN = 4
#: So many notes of reviews are.
REVIEW_NOTES = 3
#: A reason, how often it was given, and the latest ticket.
_Reason = tuple[str, int, TicketName]


def _escalations(reader: Reader, cut: Slice) -> dict[str | None, list[_Reason]]:
    """The most frequent reasons, of all severities (None) and of each; asked once for all."""
    facts = reader.facts(cut)
    open_then, _ = facts.backlog()
    severities = {
        item: columns.SEVERITIES[code - 1]
        for rows in (open_then, went_up(facts))
        for item, code in zip(rows["item"].tolist(), rows["severity"].tolist(), strict=True)
    }
    found = Escalation.objects.for_tenant(reader.tenant).filter(
        work_item__in=_listed(list(severities)), **_within(reader, cut, "at")
    )
    given: dict[str | None, list[tuple[str, int]]] = defaultdict(list)
    for item, said in found.order_by("-at", "-id").values_list("work_item", "reason"):
        for severity in (None, severities[item]):
            given[severity].append((said or "no reason given", item))
    shown = {severity: _most_frequent(told) for severity, told in given.items()}
    named = _named(reader, {item for told in shown.values() for _, _, item in told})
    return {
        severity: [(reason, count, named[item][1]) for reason, count, item in told]
        for severity, told in shown.items()
    }


def _most_frequent(given: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Reason, how often, and the latest item, of reasons with their items, the latest first."""
    latest: dict[str, int] = {}
    for reason, item in given:
        latest.setdefault(reason, item)
    counted = Counter(reason for reason, _ in given).most_common(REASONS_SHOWN)
    return [(reason, count, latest[reason]) for reason, count in counted]


def not_asked(reader: Reader, cut: Slice) -> Piece:
    """Why people were not asked, the most frequent reason first (METRICS.md M07)."""
    codes = reader.facts(cut).rows(columns.SURVEYED)["reason"]
    counted = Counter(columns.REASONS[code - 1] for code in codes[codes > 0].tolist())
    rows = tuple(
        Row(Reason(reason).label, words.count(number, "time", "times"))
        for reason, number in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    )
    return Piece("Why people were not asked", rows, "" if rows else "Everybody was asked.")


# --- what people looked at ------------------------------------------------------------------------


def observations(
    reader: Reader, cut: Slice, metric: str, *, account: bool = False, limit: int = 3
) -> Piece:
    """What was observed about a metric or the service in general, the latest first.

    `account`: by whoever looks after accounts; else by everybody nearer to the work.
    """
    told = [
        (text, f"{standpoint.label}, week {week_of(at)}; {_became(became)}")
        for text, about, standpoint, at, became in _observed(reader, cut)
        if about in (metric, "") and account is (standpoint == Observation.Standpoint.ACCOUNT)
    ]
    title = "What accounts told" if account else "What was observed"
    if not told:
        return Piece(title, words="Nobody has written an observation in this period.")
    mask = _mask(reader)
    rows = tuple(Row(mask(text), source) for text, source in told[:limit])
    return Piece(title, rows, f"{words.count(len(told), 'observation', 'observations')}.")


Observed = tuple[str, str, Observation.Standpoint, datetime, str | None]


def _observed(reader: Reader, cut: Slice) -> list[Observed]:
    """Words, metric, standpoint, instant and last answer of a slice's observations, latest first;
    asked once for all metrics."""
    whole = replace(cut, severity=None)
    last = ObservationAnswer.objects.filter(
        tenant=OuterRef("tenant"), observation=OuterRef("pk")
    ).order_by("-at", "-id")

    def ask() -> list[Observed]:
        found = _about(
            Observation.objects.for_tenant(reader.tenant).filter(**_within(reader, whole, "at")),
            whole,
        ).annotate(became=Subquery(last.values("outcome")[:1]))
        told = found.values_list("text", "metric", "standpoint", "at", "became")
        return [
            (text, about, Observation.Standpoint(standpoint), at, became)
            for text, about, standpoint, at, became in told.order_by("-at", "-id")
        ]

    return reader.once(("observed", whole), ask)


def _became(outcome: str | None) -> str:
    return ObservationAnswer.Outcome(outcome).label if outcome else "not answered yet"


#: Capability, marks, where an error lay, note and the instant of the resolution of a review.
_Review = tuple[int, Mapping[str, str], str, str, datetime]


def quality_reviews(reader: Reader, cut: Slice) -> Piece:
    """Released reviews of the slice's resolutions: counts by question, where errors lie, notes."""
    return _reviewed(reader, _reviews(reader, cut))


def quality_reviews_by_capability(reader: Reader, cut: Slice) -> Mapping[int, Piece]:
    """The same of each of the slice's capabilities, asked once for all of them."""
    of: dict[int, list[_Review]] = {one: [] for one in cut.capabilities or ()}
    for review in _reviews(reader, cut):
        of.setdefault(review[0], []).append(review)
    return {one: _reviewed(reader, told) for one, told in of.items()}


def _reviews(reader: Reader, cut: Slice) -> list[_Review]:
    found = _about(
        QualityReview.objects.for_tenant(reader.tenant).filter(
            release__isnull=False, rubric=VERSION, **_within(reader, cut, "resolved_at")
        ),
        cut,
    ).order_by("-resolved_at", "-id")
    return list(found.values_list("capability", "marks", "error_in", "note", "resolved_at"))


def _reviewed(reader: Reader, told: Sequence[_Review]) -> Piece:
    title = "Quality reviews"
    if len(told) < SMALLEST_BATCH:
        return Piece(title, words="Quality reviews are shown once at least five are there.")
    mask = _mask(reader)
    notes = [Row(mask(note), f"week {week_of(at)}") for *_, note, at in told if note]
    counted = "; ".join(
        f"{criterion.told}: {told_of}"
        for criterion in RUBRIC
        for told_of in [_marked([marks[criterion.key] for _, marks, *_ in told])]
        if told_of
    )
    errors = Counter(error for _, _, error, *_ in told if error)
    places = "; ".join(
        f"{ErrorIn(place).label} ({words.count(number, 'time', 'times')})"
        for place, number in errors.most_common()
    )
    summary = f"{len(told)} reviews. {counted[:1].upper()}{counted[1:]}."
    summary = f"{summary} Errors found: {places}." if places else summary
    return Piece(title, tuple(notes[:REVIEW_NOTES]), summary)


def _marked(marks: Sequence[str]) -> str:
    """How many were answered with yes, of those to which the question applied."""
    answered = [mark for mark in marks if mark != Mark.NOT_APPLICABLE]
    return f"{answered.count(Mark.YES)} of {len(answered)}" if answered else ""


def undecided_promises(reader: Reader, cut: Slice, *, limit: int = 4) -> Piece:
    """Promises of a resolution that run, the next to run out first, and that are paused (M15).

    At most `limit` of each are listed; all are counted.
    """
    title = "Not decided yet"
    counted = count_undecided(reader, cut)
    if not counted.running + counted.paused:
        return Piece(title, words="No promise of this period is still undecided.")
    found = undecided(reader, cut)
    zone, mask = reader.tenant.zone, _mask(reader)
    rows = []
    fields = (
        "ticket__subject",
        "resolution_deadline",
        "paused_since",
        "ticket__connection__name",
        "ticket__external_id",
    )
    listed = [
        told
        for paused in (False, True)
        for told in found.filter(resolution_deadline__isnull=paused).values_list(*fields)[:limit]
    ]
    for subject, runs_out, since, source, number in listed:
        told = "runs out" if runs_out else "paused since"
        if at := runs_out or since:
            told += f" {_moment(at, zone)}"
        rows.append(Row(mask(subject), told, (TicketName(source, number),)))
    both = words.count(counted.running + counted.paused, "promise is", "promises are")
    summary = f"{both} undecided: {counted.running:,} running, {counted.paused:,} paused."
    return Piece(title, tuple(rows), summary)


def _moment(at: datetime, zone: tzinfo) -> str:
    local = at.astimezone(zone)
    return f"{local.day} {local:%B %Y, %H:%M}"


# --- one list -------------------------------------------------------------------------------------

Fetch = Callable[[Reader, Slice, str], Piece]


def _whatever(fetch: Callable[[Reader, Slice], Piece]) -> Fetch:
    """A kind that is the same whatever metric it stands beside."""
    return lambda reader, cut, metric: fetch(reader, cut)


FETCHED: Mapping[Pair, Fetch] = {
    Pair.COMMENTS: _whatever(comments),
    Pair.POLICY_COMMENTS: _whatever(partial(comments, policy_denial=True)),
    Pair.CONTRADICTING_COMMENTS: _whatever(contradicting_comments),
    Pair.QUALITY_REVIEWS: _whatever(quality_reviews),
    Pair.OBSERVATIONS: observations,
    Pair.ACCOUNT_OBSERVATIONS: partial(observations, account=True),
    Pair.ESCALATION_REASONS: _whatever(escalation_reasons),
    Pair.REOPEN_MESSAGES: _whatever(reopen_messages),
    Pair.REPEAT_CONTACTS: _whatever(repeat_contacts),
    Pair.FIRST_REPLIES: _whatever(first_replies),
    Pair.MANY_HANDS: _whatever(many_hands),
    Pair.MANY_TURNS: _whatever(many_turns),
    Pair.NOT_ASKED: _whatever(not_asked),
    Pair.ASKED_ALL_THE_SAME: _whatever(asked_all_the_same),
    Pair.UNDECIDED: _whatever(undecided_promises),
    Pair.SHARED_REPORTS: _whatever(shared_reports),
}


def beside(reader: Reader, cut: Slice, metric: str) -> list[Piece]:
    """The evidence of a metric, by its key: each kind it declares, and what is kept nowhere."""
    declared = BY_KEY[metric]
    pieces = [_piece(reader, cut, metric, pair) for pair in declared.pair]
    if declared.not_kept:
        pieces.append(Piece("Not kept here", words=declared.not_kept, kind=NOT_KEPT))
    return pieces


#: Kinds that tell severities apart; the others are the same for each.
BY_SEVERITY = frozenset(
    {
        Pair.ESCALATION_REASONS,
        Pair.FIRST_REPLIES,
        Pair.MANY_HANDS,
        Pair.MANY_TURNS,
        Pair.UNDECIDED,
        Pair.ASKED_ALL_THE_SAME,
        Pair.SHARED_REPORTS,
    }
)


def _piece(reader: Reader, cut: Slice, metric: str, pair: Pair) -> Piece:
    of = cut if pair in BY_SEVERITY else replace(cut, severity=None)
    about = metric if pair in OBSERVED else ""
    found = reader.once((pair, of, about), lambda: FETCHED[pair](reader, of, metric))
    return replace(found, kind=pair.value)


def _listed(ids: Sequence[int]) -> RawSQL:
    """Ids as one value: a thousand of their own take longer to be read than to be looked up."""
    return RawSQL("SELECT unnest(%s::bigint[])", [list(ids)])


# --- slices and rows ------------------------------------------------------------------------------


def _within(reader: Reader, cut: Slice, instant: str) -> dict[str, datetime]:
    return {
        f"{instant}__gte": reader.midnight(cut.start),
        f"{instant}__lt": reader.midnight(cut.until),
    }


def _about(found: QuerySet[Any], cut: Slice, capability: str = "capability") -> QuerySet[Any]:
    if cut.capabilities is None:
        return found
    return found.filter(**{f"{capability}__in": cut.capabilities})


def _resolutions(reader: Reader, cut: Slice) -> QuerySet[Resolution]:
    found = Resolution.objects.for_tenant(reader.tenant).filter(**_within(reader, cut, "at"))
    return _about(found, cut)


def _items(reader: Reader, cut: Slice, instant: str) -> QuerySet[WorkItem]:
    found = WorkItem.objects.for_tenant(reader.tenant).filter(
        ticket__left_out="", **_within(reader, cut, instant)
    )
    if cut.severity is not None:
        found = found.filter(severity=cut.severity)
    return _about(found, cut)


def _of_tickets(
    reader: Reader,
    found: QuerySet[Any],
    text: str,
    source: str = "ticket__connection__name",
    external_id: str = "ticket__external_id",
    *,
    limit: int,
) -> tuple[Row, ...]:
    """Rows of words with their tickets."""
    mask = _mask(reader)
    return tuple(
        Row(mask(str(words_)), "", (TicketName(name, number),))
        for words_, name, number in found.values_list(text, source, external_id)[:limit]
    )


def week_of(at: datetime) -> str:
    """The week somebody wrote in: the day would lead to them."""
    year, week, _ = at.isocalendar()
    return f"{week} of {year}"
