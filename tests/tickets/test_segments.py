"""Segments at the event: the edges of each rule, and that later days change nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count, product
from random import Random
from zoneinfo import ZoneInfo

import pytest

from portal.catalogue.models import Capability
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, RequesterFactory
from tests.metrics.told import MONDAY, enter, moved, news
from tickets import ingest, segments, usage
from tickets.models import UsageEvent, WorkItem
from tickets.news import UsageTold
from tickets.segmenting import segments_at, write_segments
from tickets.segments import DIMENSIONS, Segments, Tenure, Usage, place
from tickets.timeline import HandledBy, handled_by

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
_keys = count(1)


@pytest.mark.parametrize(
    ("days", "tenure"),
    [
        (None, Tenure.UNKNOWN),
        (0, Tenure.NEW),
        (89, Tenure.NEW),
        (90, Tenure.ESTABLISHED),
        (365, Tenure.ESTABLISHED),
        (366, Tenure.EXPERIENCED),
    ],
)
def test_tenure_turns_at_90_and_after_365_days(days: int | None, tenure: Tenure) -> None:
    assert segments.tenure(days) is tenure


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, Usage.DORMANT),
        (1, Usage.OCCASIONAL),
        (3, Usage.OCCASIONAL),
        (4, Usage.REGULAR),
        (11, Usage.REGULAR),
        (12, Usage.HEAVY),
        (28, Usage.HEAVY),
    ],
)
def test_usage_turns_at_1_4_and_12_days(days: int, expected: Usage) -> None:
    assert segments.usage(days) is expected


@pytest.mark.parametrize(
    ("who", "handled"),
    [
        ([], HandledBy.UNKNOWN),
        ([True], HandledBy.AUTOMATION),
        ([False, False], HandledBy.PERSON),
        ([True, False, True], HandledBy.BOTH),
    ],
)
def test_who_handled_it_is_told_from_replies_and_resolver(
    who: list[bool], handled: HandledBy
) -> None:
    assert handled_by(who) is handled


def test_every_combination_has_a_number_of_its_own_within_a_byte() -> None:
    advanced = {None: "unknown", False: "no", True: "yes"}
    seen = set()
    for ten, use, adv, who in product(Tenure, [None, *Usage], advanced, HandledBy):
        packed = Segments(ten, use, adv, who).packed
        told = [DIMENSIONS[name][place(packed, name)] for name in DIMENSIONS]
        assert told == [ten.value, use.value if use else "unknown", advanced[adv], who.value]
        seen.add(packed)
    assert (min(seen), max(seen), len(seen)) == (0, 239, 240)


# --- counted from what is stored -----------------------------------------------------------------


def somebody(cast: Cast, email: str = "") -> int:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return RequesterFactory(tenant=cast.acme, connection=cast.desk, email=email).pk


def use(cast: Cast, person: int, *instants: datetime, advanced: bool = False) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        UsageEvent.objects.bulk_create(
            UsageEvent(
                tenant=cast.acme,
                connection=cast.desk,
                key=next(_keys),
                type="outcome",
                at=at,
                recorded_at=AT,
                requester_id=person,
                capability=cast.network,
                advanced=advanced,
            )
            for at in instants
        )


def telemetry(cast: Cast) -> None:
    """Somebody else has used the platform for a year, in an advanced way as well."""
    use(cast, somebody(cast), AT - 400 * DAY, advanced=True)


def told(cast: Cast, person: int, at: datetime = AT) -> Segments:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        return segments_at(cast.acme.pk, [(person, at)])[0]


def test_the_event_itself_does_not_count(cast: Cast) -> None:
    telemetry(cast)
    person = somebody(cast)
    use(cast, person, AT, advanced=True)
    assert told(cast, person) == Segments(Tenure.UNKNOWN, Usage.DORMANT, advanced=False)
    assert told(cast, person, AT + timedelta(seconds=1)) == Segments(
        Tenure.NEW, Usage.OCCASIONAL, advanced=True
    )


def test_windows_are_28_and_90_days_long_and_a_day_is_a_local_day(cast: Cast) -> None:
    telemetry(cast)
    just, over = somebody(cast), somebody(cast)
    use(cast, just, AT - 28 * DAY)
    use(cast, just, AT - 90 * DAY, advanced=True)
    use(cast, over, AT - 28 * DAY - timedelta(seconds=1))
    use(cast, over, AT - 90 * DAY - timedelta(seconds=1), advanced=True)
    assert told(cast, just) == Segments(Tenure.ESTABLISHED, Usage.OCCASIONAL, advanced=True)
    assert told(cast, over) == Segments(Tenure.ESTABLISHED, Usage.DORMANT, advanced=False)
    # 21:30 and 22:30 UTC are either side of midnight in Berlin
    evening = datetime(2026, 5, 20, 21, 30, tzinfo=UTC)
    night, morning = somebody(cast), somebody(cast)
    for person, second in (
        (night, evening + timedelta(hours=1)),
        (morning, evening - timedelta(hours=1)),
    ):
        use(cast, person, evening, second, AT - DAY, AT - 2 * DAY)
    assert told(cast, night).usage is Usage.REGULAR
    assert told(cast, morning).usage is Usage.OCCASIONAL


def test_without_telemetry_usage_is_not_known_rather_than_dormant(cast: Cast) -> None:
    person = somebody(cast)
    assert told(cast, person) == Segments(Tenure.UNKNOWN, None, None)
    use(cast, person, AT - 27 * DAY)  # the window reaches further back than the telemetry
    assert told(cast, person).usage is None
    telemetry(cast)
    assert told(cast, person).usage is Usage.OCCASIONAL


def test_one_person_of_two_sources_is_one_person(cast: Cast) -> None:
    telemetry(cast)
    desk, portal = somebody(cast, "rui@acme.example"), somebody(cast, "rui@acme.example")
    use(cast, portal, AT - 400 * DAY, AT - DAY)
    assert told(cast, desk) == Segments(Tenure.EXPERIENCED, Usage.OCCASIONAL, advanced=False)
    assert told(cast, somebody(cast, "other@acme.example")).tenure is Tenure.UNKNOWN


def test_the_count_agrees_with_one_by_hand(cast: Cast) -> None:
    """The oracle walks over every use; the statement counts them."""
    telemetry(cast)
    dice = Random(7)
    for _ in range(12):
        person = somebody(cast)
        uses = [
            (AT + timedelta(hours=dice.randrange(-400 * 24, 100 * 24)), dice.random() < 0.2)
            for _ in range(dice.randrange(40))
        ]
        for at, advanced in uses:
            use(cast, person, at, advanced=advanced)
        assert told(cast, person) == by_hand(uses)


def by_hand(uses: list[tuple[datetime, bool]]) -> Segments:
    before = [(at, advanced) for at, advanced in uses if at < AT]
    first = min((at for at, _ in before), default=None)
    days = {at.astimezone(BERLIN).date() for at, _ in before if at >= AT - 28 * DAY}
    advanced = sum(one for at, one in before if at >= AT - 90 * DAY)
    return Segments(
        segments.tenure((AT - first).days if first else None),
        segments.usage(len(days)),
        segments.is_advanced(advanced),
    )


# --- stored with the item ------------------------------------------------------------------------


def tenure_of(cast: Cast, name: str) -> str:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        stored = WorkItem.objects.get(ticket__external_id=name).segments
    return DIMENSIONS["tenure"][place(stored, "tenure")]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_an_item_is_told_by_what_came_before_it_in_whatever_order_it_is_heard(
    cast: Cast, order: tuple[int, ...]
) -> None:
    openings = [MONDAY, MONDAY + 80 * DAY, MONDAY + 400 * DAY]
    for place_in_time in order:
        enter(
            cast,
            news(
                f"T{place_in_time}",
                moved(1, "resolved"),
                opened_at=openings[place_in_time],
                requester="rui",
            ),
        )
    assert [tenure_of(cast, f"T{n}") for n in range(3)] == ["unknown", "new", "experienced"]


def test_what_somebody_does_later_moves_no_history(cast: Cast) -> None:
    """And neither does a capability that is marked advanced today."""
    telemetry(cast)
    enter(cast, news("T", moved(1, "resolved"), opened_at=AT, requester="rui"))
    enter(cast, news("of another", moved(1, "resolved"), opened_at=AT, requester="somebody"))
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        item = WorkItem.objects.get(ticket__external_id="T")
    before = item.segments
    use(cast, item.requester_id, *(AT + n * DAY for n in range(1, 30)), advanced=True)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Capability.objects.update(advanced=True)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert not write_segments(cast.acme.pk, [item.requester_id])
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        usage.store(
            cast.desk,
            # of an earlier day, heard of late: that counts
            [UsageTold("u1", "outcome", AT - 2 * DAY, "rui", "network", success=True)],
            at=AT,
        )
        assert UsageEvent.objects.get(task="", at=AT - 2 * DAY).advanced  # as it is marked now
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        assert WorkItem.objects.get(pk=item.pk).segments != before


def test_a_batch_writes_each_new_item_once(cast: Cast) -> None:
    """Who somebody was is known before the row is written, so nothing is written twice."""
    told_of = [
        news(f"T{n}", moved(1, "resolved"), opened_at=MONDAY + n * 40 * DAY, requester="rui")
        for n in range(5)
    ]
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        outcome = ingest.apply(tenant_id=cast.acme.pk, connection=cast.desk, news=told_of, at=AT)
    assert outcome.written["work items"].added == 5
    assert not outcome.written["segments"]
