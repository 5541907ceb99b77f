"""Who may do what, route by route: the one table in which every address must stand.

Actors are the cast by name; each stands for a role. `nobody` is signed out, `eve` belongs to
another organisation. What is not allowed answers 404 to people who are signed in, as if it did not
exist, and leads those who are not to sign in.
"""

from __future__ import annotations

EVERYBODY = frozenset({"olga", "sam", "bea", "agnes", "arjun", "rui", "pia", "cleo", "ada", "aude"})
#: Who works on, owns or speaks for a service, and may write what they see.
OBSERVERS = frozenset({"olga", "sam", "bea", "agnes", "arjun", "pia", "cleo"})
NOBODY_ELSE: frozenset[str] = frozenset()

#: Pages of one organisation opened with GET: route name -> who may.
PAGES: dict[str, frozenset[str]] = {
    "home": EVERYBODY,
    "scorecard": EVERYBODY,
    "scorecard_export": frozenset({"olga", "sam", "bea", "pia"}),
    "trends": frozenset({"olga", "sam", "bea"}),
    "figure_tickets": frozenset({"olga", "sam"}),
    "declared": frozenset({"olga", "sam", "bea"}),
    "happenings": frozenset({"olga", "sam", "bea"}),
    "improvements": frozenset({"olga", "sam", "bea"}),
    "improvement": frozenset({"olga", "sam", "bea"}),
    "pilots": frozenset({"olga", "sam"}),
    "pilot": frozenset({"olga", "sam"}),
    "compare": frozenset({"olga", "sam", "bea"}),
    "detectors": frozenset({"olga", "sam"}),
    "drivers": frozenset({"olga", "sam", "bea"}),
    "method": EVERYBODY,
    "contradictions": frozenset({"olga", "sam", "bea", "pia"}),
    "drawn_comments": frozenset({"olga", "sam", "bea", "pia"}),
    "observations": OBSERVERS,
    "quality_reviews": frozenset({"olga", "sam", "bea", "pia"}),
    "ticket": frozenset({"olga", "sam"}),
    "themes": frozenset({"olga", "sam", "bea", "pia"}),
    "routine_check": frozenset({"olga", "sam", "bea", "pia"}),
    "own_readings": frozenset({"agnes", "arjun"}),
    "mailbox": EVERYBODY,
    "targets": EVERYBODY,
    "target_sheet": EVERYBODY,
    "propose_targets": frozenset({"olga"}),
    "accept_sheet": frozenset({"sam"}),
    "sources": frozenset({"ada"}),
    "connect_source": frozenset({"ada"}),
    "source": frozenset({"ada"}),
    "source_access": frozenset({"ada"}),
    "source_hook": frozenset({"ada"}),
    "source_mapping": frozenset({"ada"}),
    "mapping_versions": frozenset({"ada"}),
    "source_roles": frozenset({"ada"}),
    "source_import": frozenset({"ada"}),
    "data_quality": frozenset({"olga", "sam", "bea", "pia", "ada"}),
    "uploads": frozenset({"ada"}),
    "upload": frozenset({"ada"}),
    "upload_refused": frozenset({"ada"}),
}

#: Acts by POST: route name -> who may. Everything else answers 405 to POST.
ACTS: dict[str, frozenset[str]] = {
    "contradictions": frozenset({"olga", "sam", "bea", "pia"}),
    "drawn_comments": frozenset({"olga", "sam", "bea", "pia"}),
    "observations": OBSERVERS,
    "ticket": frozenset({"olga", "sam"}),  # reviewing how it was handled
    "themes": frozenset({"olga", "sam", "bea", "pia"}),
    "routine_check": frozenset({"olga", "sam", "bea", "pia"}),
    "propose_targets": frozenset({"olga"}),
    "accept_sheet": frozenset({"sam"}),
    "target_sheet": frozenset({"sam", "bea"}),  # declining
    "trends": frozenset({"olga", "sam"}),
    "declared": frozenset({"olga", "sam"}),
    "happenings": frozenset({"olga", "sam"}),
    "improvements": frozenset({"olga", "sam"}),
    "pilots": frozenset({"olga", "sam"}),
    "pilot": frozenset({"olga", "sam"}),
    "connect_source": frozenset({"ada"}),
    "source": frozenset({"ada"}),  # testing, pausing
    "source_access": frozenset({"ada"}),
    "source_hook": frozenset({"ada"}),
    "source_mapping": frozenset({"ada"}),
    "source_roles": frozenset({"ada"}),
    "uploads": frozenset({"ada"}),
    "upload": frozenset({"ada"}),
}

#: Open to everyone, signed in or not: they ask for a token or a key, or say nothing private.
OPEN = frozenset({"healthz", "api_schema"})
SIGNED_IN = frozenset({"start"})

#: REST: (route name, method) -> scopes of which a key needs one.
API: dict[tuple[str, str], frozenset[str]] = {
    ("api_tickets", "GET"): frozenset({"read:internal"}),
    ("api_ticket", "GET"): frozenset({"read:internal"}),
    ("api_events", "POST"): frozenset({"ingest:events"}),
    ("api_ticket_upsert", "PUT"): frozenset({"ingest:events"}),
    ("api_rating_upsert", "PUT"): frozenset({"ingest:events"}),
    ("api_message", "GET"): frozenset({"ingest:events"}),
    ("api_messages", "GET"): frozenset({"ingest:events", "admin:config"}),
    ("api_replay", "POST"): frozenset({"admin:config"}),
    ("api_capabilities", "GET"): frozenset({"read:published", "read:internal"}),
    ("api_capability", "GET"): frozenset({"read:published", "read:internal"}),
    ("api_readings", "GET"): frozenset({"read:internal"}),
    ("api_readings_export", "GET"): frozenset({"read:internal"}),
    ("api_evidence", "GET"): frozenset({"read:internal"}),
    ("api_observations", "GET"): frozenset({"read:internal"}),
    ("api_observations", "POST"): frozenset({"ingest:events"}),
    ("api_quality_reviews", "GET"): frozenset({"read:internal"}),
    ("api_quality_reviews", "POST"): frozenset({"ingest:events"}),
    ("api_data_quality", "GET"): frozenset({"read:internal"}),
    ("api_improvements", "GET"): frozenset({"read:internal"}),
    ("api_improvement", "GET"): frozenset({"read:internal"}),
    ("api_target_suggestion", "GET"): frozenset({"read:internal"}),
    ("api_pilots", "GET"): frozenset({"read:internal"}),
    ("api_pilot", "GET"): frozenset({"read:internal"}),
    ("api_targets", "GET"): frozenset({"read:published", "read:internal"}),
}

#: REST operations that are open to anyone: the schemas of events are nobody's data.
API_OPEN = frozenset({("api_event_types", "GET"), ("api_event_type", "GET")})

#: Survey pages: a token opens them, nothing else does.
BY_TOKEN = frozenset({"survey", "survey_hidden", "survey_thanks", "survey_unsubscribe"})

#: Webhooks' addresses: the secret in them opens a connection, and a signature says who speaks.
BY_HOOK = frozenset({"hook"})

#: The sign-in library's pages, of which these need a signed-in person.
SIGN_IN = frozenset(
    {
        "account_login",
        "account_logout",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key",
        "account_reset_password_from_key_done",
        "mfa_authenticate",
    }
)
OWN_ACCOUNT = frozenset(
    {
        "account_change_password",
        "account_reauthenticate",
        "mfa_activate_totp",
        "mfa_deactivate_totp",
        "mfa_download_recovery_codes",
        "mfa_generate_recovery_codes",
        "mfa_index",
        "mfa_reauthenticate",
        "mfa_view_recovery_codes",
    }
)

#: Whom the administration lets in at all, and by model who may list its rows and who may add one.
ADMINISTERS = frozenset({"olga", "sam", "bea", "ada", "aude"})
ADMIN: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "audit_auditentry": (frozenset({"ada", "aude"}), NOBODY_ELSE),
    "catalogue_businesscalendar": (frozenset({"ada"}), frozenset({"ada"})),
    "catalogue_businessunit": (frozenset({"ada"}), frozenset({"ada"})),
    "catalogue_calendarversion": (frozenset({"ada"}), frozenset({"ada"})),
    "catalogue_capability": (frozenset({"ada"}), frozenset({"ada"})),
    "catalogue_domain": (frozenset({"ada"}), frozenset({"ada"})),
    "catalogue_severitycalendar": (frozenset({"ada"}), frozenset({"ada"})),
    "catalogue_timetarget": (frozenset({"ada"}), frozenset({"ada"})),
    "governance_targetsheet": (ADMINISTERS, NOBODY_ELSE),
    "metrics_settingsversion": (frozenset({"ada"}), frozenset({"ada"})),
    "people_apikey": (frozenset({"ada"}), frozenset({"ada"})),
    "people_membership": (frozenset({"ada"}), frozenset({"ada"})),
    "tickets_inboundmessage": (frozenset({"ada"}), NOBODY_ELSE),
}
#: What Django's admin has for each model, and what ours adds.
ADMIN_ACTIONS = frozenset({"add", "change", "changelist", "delete", "history"})
ADMIN_OWN = frozenset(
    {
        "governance_targetsheet_cosign",
        "people_apikey_revoke",
        "tickets_inboundmessage_replay",
    }
)
ADMIN_FRAME = frozenset(
    {
        "app_list",
        "autocomplete",
        "index",
        "jsi18n",
        "login",
        "logout",
        "password_change",
        "password_change_done",
        "?",
    }
)
