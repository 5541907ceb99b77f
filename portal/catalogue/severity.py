"""The four severities, worst first; durations are never pooled across them (METRICS.md 1.5)."""

from enum import StrEnum


class Severity(StrEnum):
    """How much an item hurts."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


SEVERITY_CHOICES = [(severity.value, severity.value) for severity in Severity]
