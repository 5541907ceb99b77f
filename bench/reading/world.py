"""A throw-away database of generated tickets: 40 organisations of uneven size, two years.

Everything follows from a ticket's number, so that runs are alike; rows are written by SQL in the
order of their opening, as they would have come, and never through the fold. Constraints, indexes
and triggers are taken away while rows are written and put back over all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

ORGANISATIONS = 40
CAPABILITIES = 20
DAYS = 730
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
#: Two weeks after the last opening, so that the last whole month is mature.
AS_OF = FIRST + timedelta(days=DAYS + 14)
#: The 90 days of the scorecard; its trend has the 12 months up to the same day.
START, UNTIL = date(2025, 9, 3), date(2025, 12, 2)
SEVERITIES = ("low", "medium", "high", "critical")

#: Tables that are filled, those that others point at first.
TABLES = (
    "tickets_requester",
    "tickets_ticket",
    "tickets_workitem",
    "tickets_resolution",
    "tickets_escalation",
    "tickets_ticketflaw",
    "surveys_surveyedevent",
    "surveys_invitation",
    "surveys_notsent",
    "surveys_answer",
    "surveys_comment",
    "tickets_selfserviceattempt",
    "tickets_usageevent",
)

#: A share of one that follows from a number and a salt: `{n}` and `{salt}` are filled in.
_SHARE = "((hashint8extended({n}, {salt}) & 9007199254740991)::float8 / 9007199254740992)"


def _share(n: str, salt: int) -> str:
    return _SHARE.format(n=n, salt=salt)


def _spread(n: str, salt: int, median: float, sigma: float, most: float) -> str:
    """Seconds, log-normal about a median, at most `most`."""
    normal = (
        f"sqrt(-2 * ln(greatest({_share(n, salt)}, 1e-12))) * cos(2 * pi() * {_share(n, salt + 1)})"
    )
    return f"least({median} * exp({sigma} * {normal}), {most})::integer"


#: One row a ticket: `n` counts all of them in the order of their opening.
PLAN = f"""
    CREATE UNLOGGED TABLE bench_plan AS
    SELECT row_number() OVER (ORDER BY at, tenant, i) AS n, p.*
      FROM (
        SELECT o.tenant, o.connection, o.people, i,
               %(first)s::timestamptz
               + floor((i - {_share("i * 41 + o.tenant", 1)}) * %(days)s * 86400 / o.tickets)
                 * interval '1 second' AS at,
               o.capabilities[1 + floor(power({_share("i * 43 + o.tenant", 2)}, 1.7)
                 * cardinality(o.capabilities))::integer] AS capability,
               o.first_requester + floor(power({_share("i * 47 + o.tenant", 3)}, 1.5)
                 * o.people)::bigint AS requester,
               (ARRAY['low', 'medium', 'high', 'critical'])[
                 width_bucket({_share("i * 53 + o.tenant", 4)}, ARRAY[0, 0.3, 0.8, 0.95])
               ] AS severity
          FROM bench_organisation o CROSS JOIN LATERAL generate_series(1, o.tickets) AS i
      ) AS p
"""

_TOLD = f"""
    SELECT p.*, d.*,
           p.at + (d.elapsed * interval '1 second') AS solved
      FROM bench_plan p
      CROSS JOIN LATERAL (
        SELECT {_spread("p.n", 10, 15000, 1.3, 3000000)} AS clock,
               CASE WHEN {_share("p.n", 12)} < 0.3
                    THEN {_spread("p.n", 13, 20000, 1.1, 800000)} ELSE 0 END AS paused,
               CASE WHEN {_share("p.n", 15)} < 0.93
                    THEN {_spread("p.n", 16, 1800, 1.1, 400000)} END AS reply,
               {_share("p.n", 18)} AS helped,
               {_spread("p.n", 19, 7000, 1.0, 400000)} AS later,
               {_share("p.n", 21)} AS dice,
               {_share("p.n", 22)} AS again
      ) AS r
      CROSS JOIN LATERAL (
        SELECT r.*, (r.clock + r.paused) * CASE WHEN p.severity = 'critical' THEN 1 ELSE 3 END
               + CASE WHEN {_share("p.n", 23)} < 0.01 THEN 300000000 ELSE 0 END AS elapsed
      ) AS d
"""

FILL = (
    """
    INSERT INTO tickets_requester (id, tenant_id, connection_id, external_id, email)
    SELECT o.first_requester + i, o.tenant, o.connection, 'r' || i, ''
      FROM bench_organisation o CROSS JOIN LATERAL generate_series(0, o.people) AS i
    """,
    f"""
    INSERT INTO tickets_ticket (id, tenant_id, connection_id, external_id, requester_id, subject,
           channel, opened_at, last_event_at, state, severity, capability_id, "group", left_out,
           follows, labelled, flawed)
    SELECT t.n, t.tenant, t.connection, 'T' || t.n, t.requester, 'About ' || t.n, 'mail', t.at,
           least(t.solved, %(as_of)s),
           CASE WHEN t.solved < %(as_of)s THEN 'closed' ELSE 'open' END, t.severity, t.capability,
           'desk', '', '', '{{}}', t.n %% 37 = 0
      FROM ({_TOLD}) AS t ORDER BY t.n
    """,
    f"""
    INSERT INTO tickets_workitem (id, tenant_id, ticket_id, number, requester_id, capability_id,
           severity, channel, "group", opened_at, state, outcome, ended_at, clock_s,
           requester_elapsed_s, paused_s, paused_since, first_response_at, first_response_s,
           first_meaningful_at, first_meaningful_s, first_reply_meaning, response_owed,
           first_resolution_at, reassignments, escalations_functional, escalations_hierarchical,
           requester_messages, fcr_claimed, repeat_contact_at, routine, response_target_s,
           resolution_target_s, response_deadline, resolution_deadline, first_response_in_time,
           first_meaningful_in_time, resolution_in_time)
    SELECT t.n, t.tenant, t.n, 1, t.requester, t.capability, t.severity, 'mail', 'desk', t.at,
           CASE WHEN e.over THEN 'closed' WHEN t.dice < 0.3 THEN 'waiting_on_requester'
                ELSE 'in_progress' END,
           CASE WHEN NOT e.over THEN 'open' WHEN t.dice < 0.04 THEN 'withdrawn' ELSE 'resolved' END,
           CASE WHEN e.over THEN t.solved END, CASE WHEN e.over THEN t.clock END,
           CASE WHEN e.over THEN t.elapsed END, CASE WHEN e.over THEN t.paused ELSE 0 END,
           CASE WHEN NOT e.over AND t.dice < 0.3 THEN t.at + interval '1 hour' END,
           t.at + t.reply * interval '1 second', t.reply,
           t.at + e.meaningful * interval '1 second', e.meaningful,
           CASE WHEN t.reply IS NULL THEN '' WHEN t.helped < 0.7 THEN 'meaningful'
                WHEN t.helped < 0.95 THEN 'not_meaningful' ELSE 'unknown' END,
           t.dice < 0.95, CASE WHEN e.over AND t.dice >= 0.04 THEN t.solved END,
           floor(power(t.again, 4) * 5), (t.again < 0.06)::integer, (t.again < 0.01)::integer,
           1 + floor(t.helped * 5), t.dice < 0.5,
           CASE WHEN e.over AND t.again < 0.05 THEN t.solved + t.helped * interval '13 days' END,
           CASE WHEN t.again < 0.5 THEN t.helped < 0.25 END,
           w.response, w.resolution, t.at + w.response * 3 * interval '1 second',
           CASE WHEN e.over OR t.dice >= 0.3 THEN
                t.at + (w.resolution + t.paused) * 3 * interval '1 second' END,
           coalesce(t.reply <= w.response, false), coalesce(e.meaningful <= w.response, false),
           e.over AND t.clock <= w.resolution
      FROM ({_TOLD}) AS t
      JOIN (VALUES ('low', 14400, 432000), ('medium', 7200, 144000), ('high', 3600, 57600),
                   ('critical', 900, 14400)) AS w(severity, response, resolution)
        ON w.severity = t.severity
      CROSS JOIN LATERAL (
        SELECT t.solved < %(as_of)s AS over,
               CASE WHEN t.helped < 0.7 THEN t.reply
                    WHEN t.helped BETWEEN 0.7 AND 0.9 THEN t.reply + t.later END AS meaningful
      ) AS e
     ORDER BY t.n
    """,
    # One in twelve was resolved, came back and was resolved again; `event_key` is 2n or 2n + 1.
    """
    INSERT INTO tickets_resolution (tenant_id, work_item_id, ticket_id, event_key, number, at, kind,
           capability_id, severity, "group", policy_denial, holds, clock_s, reopen_at, reopen_kind,
           reopened)
    SELECT w.tenant_id, w.id, w.ticket_id, 2 * w.id + r.number, r.number, r.at,
           CASE WHEN w.id %% 17 = 0 THEN 'inactivity' ELSE 'normal' END, w.capability_id,
           w.severity, '', w.id %% 33 = 0, r.holds, w.clock_s, r.back,
           CASE WHEN r.back IS NULL THEN '' WHEN r.holds THEN 'courtesy' ELSE 'counted' END,
           NOT r.holds
      FROM tickets_workitem w
      CROSS JOIN LATERAL (
        SELECT 1 AS number, w.id %% 12 <> 0 AS holds,
               CASE WHEN w.id %% 12 = 0 THEN w.opened_at + (w.ended_at - w.opened_at) / 2
                    ELSE w.ended_at END AS at,
               CASE WHEN w.id %% 12 = 0 THEN w.opened_at + (w.ended_at - w.opened_at) * 0.7
                    WHEN w.id %% 29 = 0 THEN w.ended_at + interval '5 hours' END AS back
        UNION ALL
        SELECT 2, true, w.ended_at, NULL WHERE w.id %% 12 = 0
      ) AS r
     WHERE w.outcome = 'resolved' ORDER BY r.at
    """,
    """
    INSERT INTO tickets_escalation (tenant_id, work_item_id, event_key, at, kind, reason)
    SELECT w.tenant_id, w.id, 3 * w.id, w.opened_at + interval '3 hours', 'functional',
           (ARRAY['no rights', 'not known here', 'a defect'])[1 + w.id %% 3]
      FROM tickets_workitem w WHERE w.escalations_functional > 0
    """,
    """
    INSERT INTO tickets_ticketflaw (tenant_id, ticket_id, kind, detail)
    SELECT p.tenant, p.n, CASE WHEN p.n %% 2 = 0 THEN 'unknown_actor' ELSE 'unmapped_state' END, ''
      FROM bench_plan p WHERE p.n %% 37 = 0
    """,
    # The campaign is a year and two months old.
    """
    INSERT INTO surveys_surveyedevent (id, tenant_id, ticket_id, event_key, at, decision,
           capability_id, severity, channel, requester_id, policy_denial, scale)
    SELECT r.id, r.tenant_id, r.ticket_id, r.event_key, r.at,
           CASE WHEN r.id %% 5 < 3 THEN 'invited' ELSE 'not_sent' END, r.capability_id, r.severity,
           'mail', w.requester_id, r.policy_denial, 'csat_1_5'
      FROM tickets_resolution r JOIN tickets_workitem w ON w.id = r.work_item_id
     WHERE r.at >= %(asking)s ORDER BY r.at
    """,
    """
    INSERT INTO surveys_invitation (tenant_id, event_id, state, due_at, attempts, ambiguous,
           last_error, message_id, token_digest, sent_at, window_until)
    SELECT e.tenant_id, e.id, CASE WHEN e.id %% 97 = 0 THEN 'bounced' ELSE 'sent' END,
           e.at + interval '5 minutes', 1, 0, '', md5('m' || e.id)::uuid,
           sha256(int8send(e.id)), e.at + interval '6 minutes', e.at + interval '14 days 6 minutes'
      FROM surveys_surveyedevent e WHERE e.decision = 'invited'
    """,
    """
    INSERT INTO surveys_notsent (tenant_id, event_id, reason)
    SELECT e.tenant_id, e.id,
           (%(reasons)s::text[])[1 + e.id / 5 %% cardinality(%(reasons)s::text[])]
      FROM surveys_surveyedevent e WHERE e.decision = 'not_sent'
    """,
    """
    INSERT INTO surveys_answer (id, tenant_id, event_id, score, answered_at, late, contact_allowed,
           complete, released_at)
    SELECT e.id, e.tenant_id, e.id, (ARRAY[5, 5, 5, 4, 4, 4, 3, 2, 1, 1])[1 + e.id / 35 %% 10],
           e.at + interval '20 hours', false, false, e.id %% 4 > 0, e.at + interval '44 hours'
      FROM surveys_surveyedevent e
     WHERE e.decision = 'invited' AND e.id %% 7 < 2 AND e.at + interval '44 hours' < %(as_of)s
    """,
    """
    INSERT INTO surveys_comment (tenant_id, answer_id, text, at, reasons)
    SELECT a.tenant_id, a.id, 'It took a while, but in the end it worked.', a.answered_at, '[]'
      FROM surveys_answer a WHERE a.id %% 5 = 1
    """,
    """
    INSERT INTO tickets_selfserviceattempt (tenant_id, requester_id, capability_id, task,
           started_at, completed_at, assisted_at)
    SELECT p.tenant, p.requester, p.capability, 'task ' || p.n, p.at,
           CASE WHEN p.n %% 3 > 0 THEN p.at + interval '7 minutes' END,
           CASE WHEN p.n %% 9 = 0 THEN p.at + interval '5 hours' END
      FROM bench_plan p WHERE p.n %% 6 = 0
    """,
    """
    INSERT INTO tickets_usageevent (tenant_id, connection_id, key, type, at, recorded_at,
           requester_id, capability_id, task, success, duration_ms, errors_shown)
    SELECT p.tenant, p.connection, p.n, 'outcome', p.at, p.at, p.requester, p.capability, '',
           p.n %% 11 > 0, 100 + p.n * 7919 %% 9000, p.n %% 4
      FROM bench_plan p WHERE p.n %% 5 = 0
    """,
)
#: Days from the campaign's beginning to the last opening.
ASKING = FIRST + timedelta(days=DAYS - 425)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation of the world and who reads its scorecards."""

    organisation: Any
    capabilities: list[Any]
    source: Any
    manager: Any
    tickets: int


def sizes(tickets: int) -> list[int]:
    """Tickets of each organisation: the largest has a quarter, the smallest half a percent."""
    weights = [1 / (number + 1) for number in range(ORGANISATIONS)]
    return [max(CAPABILITIES, round(tickets * weight / sum(weights))) for weight in weights]


@contextmanager
def database() -> Iterator[None]:
    """A database of its own, with the product's roles; dropped afterwards."""
    from django.conf import settings
    from django.db import connection
    from django.db.backends.signals import connection_created

    from tests import roles

    connection_created.connect(roles.set_role, dispatch_uid="bench.roles")
    name = str(settings.DATABASES["default"]["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.close()
        roles.become(roles.OWNER)
        connection.creation.destroy_test_db(name, verbosity=0)


def fill(tickets: int) -> list[Tenant]:
    """Write the world; the largest organisation comes first. Leaves no block packed."""
    from django.db import connection

    from surveys.fatigue import Reason
    from tests import roles

    with roles.as_role(roles.OWNER):
        tenants = [_organisation(number, size) for number, size in enumerate(sizes(tickets))]
        values = {
            "first": FIRST,
            "days": DAYS,
            "as_of": AS_OF,
            "asking": ASKING,
            "reasons": [reason.value for reason in Reason],
        }
        with connection.cursor() as cursor, _bare(cursor):
            _plan(cursor, tenants, values)
            for statement in FILL:
                cursor.execute(statement, values)
            _sequences(cursor)
            cursor.execute("DROP TABLE bench_plan, bench_organisation")
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE, FREEZE)")
    return tenants


def _plan(cursor: Any, tenants: list[Tenant], values: dict[str, Any]) -> None:
    cursor.execute(
        "CREATE UNLOGGED TABLE bench_organisation (tenant bigint, connection bigint,"
        " capabilities bigint[], tickets bigint, people bigint, first_requester bigint)"
    )
    first = 1
    for tenant in tenants:
        people = max(10, tenant.tickets // 12)
        cursor.execute(
            "INSERT INTO bench_organisation VALUES (%s, %s, %s, %s, %s, %s)",
            [
                tenant.organisation.pk,
                tenant.source.pk,
                [one.pk for one in tenant.capabilities],
                tenant.tickets,
                people,
                first,
            ],
        )
        first += people + 1
    cursor.execute("SET LOCAL work_mem = '256MB'")
    cursor.execute(PLAN, values)
    cursor.execute("ANALYZE bench_plan")


def _organisation(number: int, tickets: int) -> Tenant:
    """An organisation with its calendar, capabilities and promises, and who runs its desk."""
    from portal.people.models import Membership
    from portal.people.roles import Role
    from portal.tenancy.context import acting
    from tests import factories as make

    organisation = make.OrganisationFactory(slug=f"bench-{number}", name=f"Bench {number}")
    manager = make.PersonFactory(name=f"Manager {number}")
    Membership.objects.create(tenant=organisation, person=manager, role=Role.SERVICE_DESK_MANAGER)
    with acting(organisation.pk):
        office = make.CalendarFactory(tenant=organisation)
        make.CalendarVersionFactory(tenant=organisation, calendar=office)
        domain = make.DomainFactory(
            tenant=organisation, calendar=office, service_desk_manager=manager
        )
        unit = make.BusinessUnitFactory(tenant=organisation)
        served = [
            make.CapabilityFactory(
                tenant=organisation,
                domain=domain,
                business_unit=unit,
                slug=f"capability-{one}",
                self_service=one % 3 == 0,
                quick_within_ms=3000,
            )
            for one in range(CAPABILITIES)
        ]
        source = make.ConnectionFactory(tenant=organisation, name="desk")
    return Tenant(organisation, served, source, manager, tickets)


@contextmanager
def _bare(cursor: Any) -> Iterator[None]:
    """Without constraints, indexes and triggers while rows are written; one transaction."""
    from django.db import transaction

    with transaction.atomic():
        cursor.execute(
            "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid),"
            " contype FROM pg_constraint WHERE conrelid::regclass::text = ANY(%s)"
            " AND contype IN ('f', 'u', 'p') OR confrelid::regclass::text = ANY(%s)"
            " ORDER BY array_position(ARRAY['p', 'u', 'f'], contype::text), 1, 2",
            [list(TABLES), list(TABLES)],
        )
        constraints = cursor.fetchall()
        for table, name, _, _ in reversed(constraints):
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        cursor.execute(
            "SELECT quote_ident(indexname), indexdef FROM pg_indexes WHERE tablename = ANY(%s)",
            [list(TABLES)],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute("SELECT oid::regclass::text FROM pg_class WHERE relforcerowsecurity")
        forced = [table for (table,) in cursor.fetchall()]
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for table in forced:
            cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        told = _defaults(cursor)
        yield
        for table, column in told:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT")
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            cursor.execute(definition)
        for table, name, definition, _ in constraints:
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        for table in forced:
            cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def _defaults(cursor: Any) -> list[tuple[str, str]]:
    """Let columns that are not named take what Django would write; return which do."""
    from django.apps import apps
    from django.db import connection
    from psycopg import sql

    told = []
    for model in apps.get_models():
        if model._meta.db_table not in TABLES:
            continue
        for one in model._meta.concrete_fields:
            value = None if one.primary_key or one.null else one.get_default()
            if value is None or callable(one.default):
                continue
            name = connection.ops.quote_name(str(one.column))
            literal = sql.Literal(one.get_db_prep_save(value, connection))
            cursor.execute(
                f"ALTER TABLE {model._meta.db_table} ALTER COLUMN {name} SET DEFAULT"
                f" {literal.as_string(connection.connection)}"
            )
            told.append((model._meta.db_table, name))
    return told


def _sequences(cursor: Any) -> None:
    """Let new rows take ids that are free."""
    cursor.execute(
        "SELECT table_name, pg_get_serial_sequence(table_name, 'id')"
        " FROM information_schema.columns WHERE table_name = ANY(%s) AND column_name = 'id'",
        [list(TABLES)],
    )
    for table, sequence in cursor.fetchall():
        cursor.execute(f"SELECT setval('{sequence}', greatest(1, max(id))) FROM {table}")
