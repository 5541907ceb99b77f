"""The same figures three other ways: a covering index, the normalised tables, and DuckDB.

The first and the last read flat tables, one a fact kind, with everything a figure needs in a row;
the first has row security and an index that covers it, so that no table is touched. All three
are asked in one statement a fact kind, with grouping sets for the four ways to cut it; the tables
also as a dashboard's tiles ask them, each figure and cut by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from portal.catalogue.severity import Severity

#: (cut, capability, part, figure) -> value. A part is a severity, 1 or 0 for the segment, a week.
Figures = dict[tuple[str, int, int, str], float]
#: What a way found. Calling it names the figures, so that ways compare; that is no part of asking.
Answer = Callable[[], Figures]

WEEKS = 12


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact kind: where its rows come from, what dates them, and its figures in SQL."""

    name: str
    tables: str
    at: str
    #: Column -> SQL over `tables`.
    columns: Mapping[str, str]
    #: Figure -> SQL over the columns.
    figures: Mapping[str, str]

    @property
    def select(self) -> str:
        """The flat rows."""
        listed = ", ".join(f"{sql} AS {name}" for name, sql in self.columns.items())
        return f"SELECT w.tenant_id, {self.at} AS happened, {listed} FROM {self.tables}"


def _median(column: str, share: float, of: str) -> str:
    return f"percentile_cont({share}) WITHIN GROUP (ORDER BY {column}) FILTER (WHERE {of})"


_CUT = {
    "capability": "coalesce(w.capability_id, 0)",
    "severity": f"array_position(ARRAY{[str(one) for one in Severity]}, w.severity::text)",
}


def _cut(promise: str) -> dict[str, str]:
    """Under which capability and severity a promise was decided; the item's own where empty."""
    return {
        "capability": f"coalesce(w.{promise}_capability_id, w.capability_id, 0)",
        "severity": _CUT["severity"].replace(
            "w.severity", f"coalesce(nullif(w.{promise}_severity, ''), w.severity)"
        ),
    }


FACTS = (
    Fact(
        "item",
        "tickets_workitem w",
        "w.opened_at",
        {
            **_CUT,
            "segment": "(w.first_reply_meaning = 'meaningful')::integer",
            "reply": "w.first_response_s",
            "clock": "w.clock_s",
        },
        {
            "opened": "count(*)::float8",
            "replied": "count(reply)::float8",
            "reply_median": _median("reply", 0.5, "reply IS NOT NULL"),
            "open": "(count(*) - count(clock))::float8",
        },
    ),
    Fact(
        "resolution",
        "tickets_resolution r JOIN tickets_workitem w ON w.tenant_id = r.tenant_id"
        " AND w.id = r.work_item_id",
        "r.at",
        {
            "capability": "coalesce(r.capability_id, 0)",
            "severity": _CUT["severity"].replace("w.severity", "r.severity"),
            "segment": "w.fcr_claimed::integer",
            "holds": "r.holds::integer",
            "clock": "r.clock_s",
            "reopened": "r.reopened::integer",
            "bounced": "(w.reassignments >= 2)::integer",
            "escalated": "(w.escalations_functional + w.escalations_hierarchical > 0)::integer",
        },
        {
            "resolved": "sum(holds)::float8",
            "clock_median": _median("clock", 0.5, "holds = 1"),
            "clock_p90": _median("clock", 0.9, "holds = 1"),
            "reopened": "avg(reopened)::float8",
            "bounced": "sum(bounced * holds)::float8",
            "escalated": "sum(escalated * holds)::float8",
        },
    ),
    Fact(
        "reply_promise",
        "tickets_workitem w",
        "(CASE w.first_response_in_time WHEN true THEN w.first_response_at"
        " WHEN false THEN w.response_deadline END)",
        {
            **_cut("first_response"),
            "segment": "w.response_owed::integer",
            "kept": "w.first_response_in_time::integer",
        },
        {"decided": "count(*)::float8", "kept": "avg(kept)::float8"},
    ),
    Fact(
        "resolution_promise",
        "tickets_workitem w",
        "(CASE w.resolution_in_time WHEN true THEN w.ended_at"
        " WHEN false THEN w.resolution_deadline END)",
        {
            **_cut("resolution"),
            "segment": "w.response_owed::integer",
            "kept": "(w.resolution_in_time AND w.outcome = 'resolved')::integer",
        },
        {"decided": "count(*)::float8", "kept": "avg(kept)::float8"},
    ),
)

_WEEK = "floor((extract(epoch FROM happened) - {trend}) / 604800)::integer"
#: The 90 days begin some days before the first whole week: those are week -1.
#: What a capability is cut by; by nothing, too.
_CUTS = ("severity", "segment", "week")
_ASK = """
    SELECT CASE {told} ELSE 'all' END AS cut, capability, coalesce({parts}) AS part, {figures}
      FROM (SELECT *, {week} AS week FROM ({rows}) AS f
             WHERE f.happened >= {start} AND f.happened < {end} {tenant}) AS f
     GROUP BY GROUPING SETS ({sets})
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One scorecard of every capability: an organisation and a window of whole seconds."""

    tenant: int
    start: int
    end: int

    @property
    def trend(self) -> int:
        """Where the first of the twelve weeks begins; the window is not longer than they are."""
        return self.end - WEEKS * 7 * 86400


def _statement(
    fact: Fact, rows: str, asked: Asked, *, tenant: str, cuts: Sequence[str] = ("", *_CUTS)
) -> str:
    """`cuts`: those that are asked at once; the empty one is by capability alone."""
    used = [cut for cut in cuts if cut]
    return _ASK.format(
        told=" ".join(
            ["WHEN false THEN ''", *(f"WHEN grouping({cut}) = 0 THEN '{cut}'" for cut in used)]
        ),
        parts=", ".join([*used, "0"]),
        sets=", ".join(f"(capability, {cut})" if cut else "(capability)" for cut in cuts),
        figures=", ".join(f"{sql} AS {name}" for name, sql in fact.figures.items()),
        week=_WEEK.format(trend=asked.trend),
        rows=rows,
        start=f"to_timestamp({asked.start})",
        end=f"to_timestamp({asked.end})",
        tenant=tenant,
    )


def _named(found: Sequence[tuple[Fact, Sequence[tuple[Any, ...]]]]) -> Figures:
    into: Figures = {}
    for fact, rows in found:
        names = list(fact.figures)
        for cut, capability, part, *values in rows:
            for name, value in zip(names, values, strict=True):
                if value is not None:
                    into[cut, capability, part, f"{fact.name}.{name}"] = float(value)
    return into


def by_index(asked: Asked) -> Answer:
    """`percentile_cont` over the flat tables' covering indexes."""
    return _by_postgres(asked, lambda fact: f"SELECT * FROM bench_{fact.name}")


def by_tables(asked: Asked) -> Answer:
    """`percentile_cont` over the product's normalised tables."""
    return _by_postgres(asked, lambda fact: fact.select)


def _by_postgres(asked: Asked, rows: Callable[[Fact], str]) -> Answer:
    from django.db import connection

    found = []
    with connection.cursor() as cursor:
        for fact in FACTS:
            mine = f"AND f.tenant_id = {asked.tenant}"
            cursor.execute(_statement(fact, rows(fact), asked, tenant=mine))
            found.append((fact, cursor.fetchall()))
    return partial(_named, found)


def by_tables_apart(asked: Asked) -> Answer:
    """As `by_tables`, each figure and cut in a statement of its own."""
    from django.db import connection

    found = []
    with connection.cursor() as cursor:
        mine = f"AND f.tenant_id = {asked.tenant}"
        for fact in FACTS:
            for name, sql in fact.figures.items():
                alone = replace(fact, figures={name: sql})
                for cut in ("", *_CUTS):
                    cursor.execute(_statement(alone, fact.select, asked, tenant=mine, cuts=[cut]))
                    found.append((alone, cursor.fetchall()))
    return partial(_named, found)


def flatten(cursor: Any) -> None:
    """Make the flat tables with their covering indexes; as the owner."""
    for fact in FACTS:
        name = f"bench_{fact.name}"
        listed = ", ".join(fact.columns)
        cursor.execute(
            f"CREATE TABLE {name} AS {fact.select} WHERE {fact.at} IS NOT NULL ORDER BY {fact.at}"
        )
        cursor.execute(f"CREATE INDEX ON {name} (tenant_id, happened) INCLUDE ({listed})")
        cursor.execute(f"VACUUM (ANALYZE, FREEZE) {name}")


def protect(cursor: Any) -> None:
    """Give the flat tables the row security of the product's own."""
    for fact in FACTS:
        name = f"bench_{fact.name}"
        cursor.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        cursor.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        cursor.execute(
            f"CREATE POLICY {name} ON {name} USING (tenant_id ="
            " nullif(current_setting('app.tenant', true), '')::bigint)"
        )
        cursor.execute(f"GRANT SELECT ON {name} TO wellserved_web")


class Duck:
    """DuckDB's own file with the same flat rows."""

    def __init__(self, file: Path) -> None:
        import duckdb

        self._connection = duckdb.connect(str(file))
        self._connection.execute("SET threads = 2")
        self._connection.execute("SET TimeZone = 'UTC'")

    def fill(self, cursor: Any, folder: Path) -> None:
        """Take the flat rows over, organisation after organisation."""
        for fact in FACTS:
            file = folder / f"{fact.name}.csv"
            listed = ", ".join(["tenant_id", "happened", *fact.columns])
            with file.open("wb") as written, cursor.connection.cursor() as raw:
                query = (
                    f"COPY (SELECT {listed} FROM bench_{fact.name} ORDER BY tenant_id, happened) TO"
                )
                with raw.copy(f"{query} STDOUT (FORMAT csv, HEADER)") as rows:
                    for chunk in rows:
                        written.write(chunk)
            types = ", ".join(f"'{name}': 'INTEGER'" for name in fact.columns)
            self._connection.execute(
                f"CREATE TABLE bench_{fact.name} AS SELECT * FROM read_csv('{file}', header ="
                f" true, types = {{'tenant_id': 'BIGINT', 'happened': 'TIMESTAMPTZ', {types}}})"
            )
            file.unlink()

    def __call__(self, asked: Asked) -> Answer:
        """The figures; `percentile_cont` is DuckDB's word too."""
        found = []
        for fact in FACTS:
            rows, mine = f"SELECT * FROM bench_{fact.name}", f"AND f.tenant_id = {asked.tenant}"
            statement = _statement(fact, rows, asked, tenant=mine)
            found.append((fact, self._connection.execute(statement).fetchall()))
        return partial(_named, found)
