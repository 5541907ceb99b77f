"""Issue trackers say severity and category by labels: which label says which, by its prefix. Pure.

`severity_prefixes` and `category_prefixes` are options of the connection; without the latter every
label that is no severity may name a category.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tickets.connectors.base import Asked

SEVERITY_PREFIXES = "priority, severity"

ASKED = (
    Asked(
        "severity_prefixes",
        "Labels that say how severe it is begin with",
        f"by default: {SEVERITY_PREFIXES}",
        required=False,
    ),
    Asked(
        "category_prefixes",
        "Labels that say what it is about begin with",
        "empty: every other label",
        required=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Labels:
    """The prefixes in force."""

    severity: tuple[str, ...]
    category: tuple[str, ...]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Labels:
        """Read a connection's options."""
        return cls(
            _listed(options.get("severity_prefixes") or SEVERITY_PREFIXES),
            _listed(options.get("category_prefixes") or ""),
        )

    def is_severity(self, label: str) -> bool:
        """Whether a label says how severe it is."""
        return label.lower().startswith(self.severity)

    def is_category(self, label: str) -> bool:
        """Whether a label says what it is about."""
        if self.is_severity(label):
            return False
        return not self.category or label.lower().startswith(self.category)

    def told(self, names: Iterable[str]) -> tuple[dict[str, Any], bool]:
        """What the labels of an issue say of it, and whether several say the same differently.

        Nothing then: the last that was put on would hold, and a list does not say which.
        """
        found = list(names)
        severities = list(filter(self.is_severity, found))
        categories = list(filter(self.is_category, found))
        said: dict[str, Any] = {"severity_said": severities[0]} if len(severities) == 1 else {}
        if len(categories) == 1:
            said["facets"] = {"label": categories[0]}
        return said, len(severities) > 1 or len(categories) > 1


def last_label(labels: list[str], label: str, *, put: bool) -> str:
    """Put a label on or take it off, in place; return the last one that is on, or nothing.

    One is often put on before the other is taken off: what is left says what holds.
    """
    if label in labels:
        labels.remove(label)
    if put:
        labels.append(label)
    return labels[-1] if labels else ""


def listed(text: object) -> list[str]:
    """The entries of an option that holds several, separated by commas or blanks."""
    return [entry for entry in str(text or "").replace(",", " ").split() if entry]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(entry.strip().lower() for entry in text.split(",") if entry.strip())
