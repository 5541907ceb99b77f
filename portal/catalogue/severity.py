"""The four severities, worst first, and which one governs (METRICS.md 1.5).

Durations are never pooled across severities.
"""

from enum import StrEnum


class Severity(StrEnum):
    """How much an item hurts."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class SeverityPolicy(StrEnum):
    """Which severity governs targets and figures (METRICS.md 1.5)."""

    #: What the help desk says at each moment.
    RECORDED = "recorded"
    #: After the triage grace it becomes milder only with a reason and somebody else's approval.
    GOVERNED = "governed"


SEVERITY_CHOICES = [(severity.value, severity.value) for severity in Severity]
