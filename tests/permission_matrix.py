"""Who may do what, route by route: the one table in which every address must stand.

Actors are the cast by name; each stands for a role. `nobody` is signed out, `eve` belongs to
another organisation. What is not allowed answers 404 to people who are signed in, as if it did not
exist, and leads those who are not to sign in.
"""

from __future__ import annotations

EVERYBODY = frozenset({"olga", "sam", "bea", "agnes", "arjun", "rui", "pia", "ada", "aude"})
NOBODY_ELSE: frozenset[str] = frozenset()

#: Pages of one organisation opened with GET: route name -> who may.
PAGES: dict[str, frozenset[str]] = {
    "home": EVERYBODY,
    "scorecard": EVERYBODY,
    "method": EVERYBODY,
    "own_readings": frozenset({"agnes", "arjun"}),
    "mailbox": EVERYBODY,
    "targets": EVERYBODY,
    "target_sheet": EVERYBODY,
    "propose_targets": frozenset({"olga"}),
    "accept_sheet": frozenset({"sam"}),
}

#: Acts by POST: route name -> who may. Everything else answers 405 to POST.
ACTS: dict[str, frozenset[str]] = {
    "propose_targets": frozenset({"olga"}),
    "accept_sheet": frozenset({"sam"}),
    "target_sheet": frozenset({"sam", "bea"}),  # declining
}

#: Open to everyone, signed in or not: they ask for a token or a key, or say nothing private.
OPEN = frozenset({"healthz", "api_schema"})
SIGNED_IN = frozenset({"start"})

#: REST: (route name, method) -> scopes of which a key needs one.
API: dict[tuple[str, str], frozenset[str]] = {
    ("api_tickets", "GET"): frozenset({"read:internal"}),
    ("api_ticket", "GET"): frozenset({"read:internal"}),
    ("api_ticket", "PUT"): frozenset({"ingest:events"}),
    ("api_message", "GET"): frozenset({"ingest:events"}),
    ("api_capabilities", "GET"): frozenset({"read:published", "read:internal"}),
    ("api_capability", "GET"): frozenset({"read:published", "read:internal"}),
    ("api_answers", "POST"): frozenset({"ingest:events"}),
    ("api_readings", "GET"): frozenset({"read:internal"}),
    ("api_targets", "GET"): frozenset({"read:published", "read:internal"}),
}
