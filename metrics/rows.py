"""Rows of facts, column by column.

Evaluations cut the same rows again and again and look at a few columns of each cut. A cut therefore
only remembers which rows are its own; a column is cut when it is asked for, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray


class Rows:
    """Rows of one fact kind: `rows["clock"]` is a column, `rows[mask]` are some of the rows.

    Columns are never written to: several readings may share them. See `replaced`.
    """

    __slots__ = ("_columns", "_length", "_of", "_which")

    def __init__(self, columns: Mapping[str, NDArray[Any]], length: int) -> None:
        self._columns = dict(columns)
        for column in self._columns.values():
            column.flags.writeable = False
        self._length = length
        self._of: Rows | None = None
        #: Which rows of `_of` these are.
        self._which: NDArray[np.intp] | slice = slice(None)

    @classmethod
    def of(cls, records: NDArray[Any]) -> Self:
        """Records of a structured array, shape (n,)."""
        names = records.dtype.names or ()
        return cls({name: records[name].copy() for name in names}, len(records))

    @classmethod
    def together(cls, parts: Sequence[Rows]) -> Rows:
        """Parts of one kind, at least one, one after the other."""
        told = [part for part in parts if len(part)] or parts[:1]
        columns = {name: np.concatenate([part[name] for part in told]) for name in told[0].names}
        return cls(columns, sum(len(part) for part in told))

    def __len__(self) -> int:
        return self._length

    def __contains__(self, name: str) -> bool:
        return name in self.names

    @property
    def names(self) -> tuple[str, ...]:
        """The columns there are."""
        return tuple(self._columns) if self._of is None else self._of.names

    @property
    def nbytes(self) -> int:
        """What its columns take once all of them were asked for."""
        return self._length * self._width

    @property
    def own_nbytes(self) -> int:
        """What they take beside the rows they were cut from: a stretch of those costs nothing."""
        return 0 if isinstance(self._which, slice) and self._of is not None else self.nbytes

    @property
    def _width(self) -> int:
        if self._of is not None:
            return self._of._width
        return sum(column.itemsize for column in self._columns.values())

    @overload
    def __getitem__(self, asked: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, asked: NDArray[Any] | slice | list[int]) -> Rows: ...
    def __getitem__(self, asked: str | NDArray[Any] | slice | list[int]) -> NDArray[Any] | Rows:
        if isinstance(asked, str):
            return self._column(asked)
        return self._cut(asked)

    def _column(self, name: str) -> NDArray[Any]:
        found = self._columns.get(name)
        if found is None:
            if self._of is None:
                raise KeyError(f"There is no column {name!r}.")
            found = self._of[name][self._which]
            self._columns[name] = found
        return found

    def _cut(self, asked: NDArray[Any] | slice | list[int]) -> Rows:
        if isinstance(asked, slice):
            length = len(range(*asked.indices(self._length)))
        else:
            asked = np.asarray(asked)
            if asked.dtype == np.bool_:
                asked = np.flatnonzero(asked)
            length = len(asked)
            if length == self._length and (not length or _is_run(asked)):
                return self
            # Rows lie by day: a period is one stretch of them, and a stretch costs no copy.
            if length and _is_run(asked):
                asked = slice(int(asked[0]), int(asked[-1]) + 1)
        cut = Rows({}, length)
        cut._of, cut._which = self, asked
        return cut

    def replaced(self, **columns: NDArray[Any]) -> Rows:
        """The same rows with other values in some columns."""
        return Rows({name: columns.get(name, self[name]) for name in self.names}, self._length)


def _is_run(places: NDArray[np.intp]) -> bool:
    """Whether places, at least one, follow one another."""
    return bool(places[-1] - places[0] + 1 == len(places) and (places[1:] - places[:-1] == 1).all())
