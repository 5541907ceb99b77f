"""Writing many rows of one table at once: COPY into a staging table, then only what differs.

COPY bypasses Django's statement wrapper, so it is refused here outside an acting context; the rows
then enter the table by INSERT and UPDATE, which row security checks (COPY itself could not).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, models

from portal.tenancy.context import NoActingTenant, acting_tenant_id


@dataclass(slots=True)
class Written:
    """How many rows a write added, changed and removed."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(
            self.added + other.added,
            self.changed + other.changed,
            self.removed + other.removed,
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def array(values: Iterable[str | int | datetime | None]) -> str:
    """An array as a statement takes it: psycopg's own writing of one takes five times as long."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: str | int | datetime | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


class Table:
    """A model's table with the columns that are written, `id` first where it has one."""

    def __init__(self, model: type[models.Model], columns: Sequence[str]) -> None:
        self.name = model._meta.db_table
        self._staging = f"staging_{self.name}"
        self.columns = tuple(columns)
        fields = {field.column: field for field in model._meta.local_concrete_fields}
        types = {column: str(fields[column].db_type(connection)) for column in columns}
        self._json = [position for position, kind in enumerate(types.values()) if kind == "jsonb"]
        #: Of each column, what COPY's binary format is told, and how a statement takes it.
        self._copy_types = [_plain(kind) for kind in types.values()]
        self._told = {
            column: f'told."{column}"' + (f"::{kind}" if kind in _HELD_AS_TEXT else "")
            for column, kind in types.items()
        }

    def new_ids(self, number: int) -> list[int]:
        """Reserve `number` ids from the table's sequence."""
        if not number:
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT nextval('\"{self.name}_id_seq\"') FROM generate_series(1, %s)",  # noqa: S608
                [number],
            )
            return [row[0] for row in cursor.fetchall()]

    def select(self, column: str, values: Iterable[Any], also: str = "") -> list[tuple[Any, ...]]:
        """Read the acting organisation's rows whose `column` is one of the values.

        `also` is a further condition in SQL that an index needs to be used.
        """
        wanted = list(values)
        if not wanted:
            return []
        with connection.cursor() as cursor:
            cursor.execute(
                f'SELECT {_listed(self.columns)} FROM "{self.name}"'  # noqa: S608 - names of ours
                f' WHERE "tenant_id" = %s AND "{column}" = ANY(%s) {also}',
                [acting_tenant_id(), array(wanted)],
            )
            return list(cursor.fetchall())

    def insert(self, rows: Sequence[Sequence[Any]]) -> Written:
        """Add rows, values in the order of `columns`."""
        if not rows:
            return Written()
        self._through_staging(
            rows,
            f'INSERT INTO "{self.name}" ({_listed(self.columns)})'  # noqa: S608
            f' SELECT {", ".join(self._told.values())} FROM "{self._staging}" AS told',
        )
        return Written(added=len(rows))

    def update(self, rows: Sequence[Sequence[Any]]) -> Written:
        """Overwrite the rows with these ids (the first column)."""
        if not rows:
            return Written()
        values = ", ".join(f'"{column}" = {self._told[column]}' for column in self.columns[1:])
        tenant = acting_tenant_id()
        self._through_staging(
            rows,
            f'UPDATE "{self.name}" AS target SET {values} FROM "{self._staging}" AS told'  # noqa: S608
            f' WHERE target."id" = told."id" AND target."tenant_id" = {tenant}',
            joined=True,
        )
        return Written(changed=len(rows))

    def delete(self, ids: Iterable[int]) -> Written:
        """Remove the rows with these ids."""
        gone = list(ids)
        if not gone:
            return Written()
        with connection.cursor() as cursor:
            cursor.execute(
                f'DELETE FROM "{self.name}" WHERE "tenant_id" = %s'  # noqa: S608
                ' AND "id" = ANY(%s)',
                [acting_tenant_id(), array(gone)],
            )
        return Written(removed=len(gone))

    def reconcile[K](
        self,
        stored: Iterable[Sequence[Any]],
        wanted: Mapping[K, Sequence[Any]],
        *,
        key: Callable[[Sequence[Any]], K],
    ) -> tuple[Written, dict[K, int]]:
        """Make the stored rows (with ids) equal the wanted ones (without); write what differs.

        `key` takes the values without the id. Returns what was written and the id of each key.
        Removes what is not wanted before adding, so that unique values may move between rows.
        """
        ids: dict[K, int] = {}
        gone, changed = [], []
        for row in stored:
            values = tuple(row[1:])
            identity = key(values)
            want = wanted.get(identity)
            if want is None:
                gone.append(row[0])
                continue
            ids[identity] = row[0]
            if values != tuple(want):
                changed.append((row[0], *want))
        new = [identity for identity in wanted if identity not in ids]
        added = []
        for identity, number in zip(new, self.new_ids(len(new)), strict=True):
            ids[identity] = number
            added.append((number, *wanted[identity]))
        return self.delete(gone) + self.update(changed) + self.insert(added), ids

    def _through_staging(
        self, rows: Sequence[Sequence[Any]], statement: str, *, joined: bool = False
    ) -> None:
        """COPY rows to a table of our own, then run the statement that takes them from there.

        A statement that joins needs statistics of the table, or one plan in ten is a bad one.
        """
        if acting_tenant_id() is None:
            raise NoActingTenant(f"COPY for {self.name} outside acting(); nothing was written.")
        types = ", ".join(
            f'"{column}" {kind}'
            for column, kind in zip(self.columns, self._copy_types, strict=True)
        )
        with connection.cursor() as cursor:
            # Made once a transaction: to make and drop it for every slice costs more than COPY.
            cursor.execute(
                f'CREATE TEMPORARY TABLE IF NOT EXISTS "{self._staging}" ({types}) ON COMMIT DROP'
            )
            # Binary: to write instants as text takes half of the time of a batch's rows.
            with cursor.copy(f'COPY "{self._staging}" FROM STDIN (FORMAT BINARY)') as copy:
                copy.set_types(self._copy_types)
                for row in map(self._as_told, rows) if self._json else rows:
                    copy.write_row(row)
            if joined:
                cursor.execute(f'ANALYZE "{self._staging}"')
            cursor.execute(f'{statement}; TRUNCATE "{self._staging}"')

    def _as_told(self, row: Sequence[Any]) -> list[Any]:
        """The row with JSON as the text COPY takes it for."""
        values = list(row)
        for position in self._json:
            values[position] = _json(values[position])
        return values


#: As COPY takes it; json.dumps() would make an encoder for every value.
_json = json.JSONEncoder(separators=(",", ":")).encode


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


#: Types whose values we hold as text.
_HELD_AS_TEXT = ("jsonb", "uuid")
_WHOLE_NUMBERS = ("bigint", "integer", "smallint")


def _plain(kind: str) -> str:
    """The type in which values of a column's type go to the staging table: the widest.

    psycopg writes the lowest bits of a number that is too large for a smaller type; PostgreSQL
    refuses it on its way into the column.
    """
    if kind in _HELD_AS_TEXT or kind.startswith("varchar"):
        return "text"
    return "bigint" if kind in _WHOLE_NUMBERS else kind
