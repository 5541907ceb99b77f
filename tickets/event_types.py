"""What a tool may tell, type by type: one list of JSON Schemas that validate and are published.

An event is a CloudEvent (1.0). `ENVELOPE` is the schema of its attributes, `TYPES` holds each type
with the schema of its `data`; the door refuses what they refuse and publishes them as they stand
(INGEST.md 5). A field that no schema knows is refused: a misspelt one would be lost in silence.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from tickets.canonical import ActorKind, Flag, Meaning, ProblemKind, ResolutionKind, Severity, State

PREFIX, VERSION = "com.wellserved.", ".v1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Whole points of each rating scale that can be told; metrics/scales.py says what is good on them.
SCALES: Mapping[str, Sequence[int]] = {
    "csat_1_5": (1, 2, 3, 4, 5),
    "csat_1_7": (1, 2, 3, 4, 5, 6, 7),
    "csat_1_3": (1, 2, 3),
    "two_point": (0, 1),
    "freshdesk": (-103, -102, -101, 100, 101, 102, 103),
}

#: Characters that no id holds, as a regular expression's set says them: they break lines.
CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
#: `$` alone lets a line break pass at the end, in Python.
_NO_CONTROL = f"^[^{CONTROL}]*(?!\\n)$"

Schema = Mapping[str, Any]


def _text(longest: int, meaning: str, shortest: int = 1) -> Schema:
    return {
        "type": "string",
        "minLength": shortest,
        "maxLength": longest,
        "description": meaning,
    }


def _id(meaning: str) -> Schema:
    """What the sender calls something: without characters that control a terminal or a line."""
    return {**_text(200, meaning), "pattern": _NO_CONTROL}


def _one_of(words: Iterable[str], meaning: str) -> Schema:
    return {"type": "string", "enum": [str(word) for word in words], "description": meaning}


def _whole(lowest: int, highest: int, meaning: str) -> Schema:
    return {"type": "integer", "minimum": lowest, "maximum": highest, "description": meaning}


def _flag(meaning: str) -> Schema:
    return {"type": "boolean", "description": meaning}


def _object(
    fields: Mapping[str, Schema], required: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    needs = {"required": list(required)} if required else {}
    return {
        "type": "object",
        "properties": dict(fields),
        **needs,
        "additionalProperties": False,
        **more,
    }


def _exactly_one(*names: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [name]} for name in names]}


def _not_both(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Our word and the sender's own for the same thing exclude each other."""
    return {"allOf": [{"not": {"required": list(pair)}} for pair in pairs]}


_PERSON = _object(
    {
        "id": _id("the sender's id of the person"),
        "email": {**_text(254, "where they can be asked"), "pattern": "^[^@\\s]+@[^@\\s]+(?!\\n)$"},
    },
    ["id"],
    description="Somebody as the sender knows them.",
)
_ACTOR = _object(
    {
        "id": _id("the sender's id of the account; an e-mail address links the person here"),
        "kind": _one_of(
            (kind for kind in ActorKind if kind is not ActorKind.UNKNOWN),
            "what acted; absent: what the account is known to be",
        ),
    },
    description="Who or what did it. Kept apart from the ticket.",
    minProperties=1,
)
_STATE = _one_of(State, "our word for the state")
_STATE_SAID = _text(200, "the sender's own word; the connection's mapping says what it means")
_SEVERITY = _one_of(Severity, "our word for the severity")
_SEVERITY_SAID = _text(200, "the sender's own word; the connection's mapping says what it means")
_CAPABILITY = _text(80, "the slug of a capability of the catalogue")
_FACETS: Schema = {
    "type": "object",
    "description": "The sender's own words by kind (group, type …); the connection's mapping says"
    " which capability they mean.",
    "additionalProperties": {"type": ["string", "null"], "maxLength": 200},
    "propertyNames": {"minLength": 1, "maxLength": 60},
    "minProperties": 1,
    "maxProperties": 20,
}
_GROUP = _text(150, "the queue or team")
_PROBLEM: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 200,
    "pattern": _NO_CONTROL,
    "description": "the sender's id of what it shares with other tickets; null: nothing any more",
}
_STANDING: Mapping[str, Schema] = {
    "subject": _text(500, "the title"),
    "requester": _PERSON,
    "channel": _text(40, "how it came: portal, mail, phone …"),
    "status": _STATE,
    "status_said": _STATE_SAID,
    "severity": _SEVERITY,
    "severity_said": _SEVERITY_SAID,
    "capability": _CAPABILITY,
    "facets": _FACETS,
    "group": _GROUP,
    "problem": _PROBLEM,
}
_OWN_WORDS = _not_both(
    ("status", "status_said"), ("severity", "severity_said"), ("capability", "facets")
)
_RATING = _id("the sender's id of the survey response, the same for all news of it")
_OFFERED = _text(40, "when it was offered (RFC 3339)")
_QUESTION = _id(
    "the sender's key of the question, where a survey asks several: the connection's option"
    " csat_question says which one is satisfaction; absent: it is"
)
_RATED_AGENT = _id("the sender's id of who had the ticket when it was rated; kept apart")
_OUTCOME_REASON = _one_of(
    [Flag.POLICY_DENIAL], "that a policy refused what was asked for, which is told apart"
)
_USER: Schema = {**_PERSON, "description": "Who did it, as the sender knows them."}
_USE: Mapping[str, Schema] = {
    "capability": _CAPABILITY,
    "user": _USER,
    "task": _text(200, "the sender's name of the task or action"),
    "duration_ms": _whole(0, 10**12, "how long it took, in milliseconds"),
    "errors_shown": _whole(0, 1_000_000, "errors the user saw"),
}


def _answer() -> dict[str, Any]:
    """A rating: its score must be one of its scale."""
    fits = [
        {
            "if": {"properties": {"scale": {"const": scale}}, "required": ["scale"]},
            "then": {"properties": {"score": {"enum": list(values)}}},
        }
        for scale, values in SCALES.items()
    ]
    every = sorted({value for values in SCALES.values() for value in values})
    return _object(
        {
            "rating": _RATING,
            "score": _whole(every[0], every[-1], "whole points of the scale"),
            "scale": _one_of(SCALES, "the scale it was asked on"),
            "raw": _text(100, "the score as the sender's tool shows it"),
            "comment": _text(4000, "what was written with it"),
            "offered_at": _OFFERED,
            "question": _QUESTION,
            "agent": _RATED_AGENT,
            "outcome_reason": _OUTCOME_REASON,
        },
        ["rating", "score", "scale"],
        allOf=fits,
    )


def _unanswered() -> dict[str, Any]:
    fields = {"rating": _RATING, "offered_at": _OFFERED, "agent": _RATED_AGENT}
    return _object(fields, ["rating"])


@dataclass(frozen=True, slots=True)
class ToldType:
    """A type of event: what it is about, and the schema of its data."""

    #: Without prefix and version: `ticket.created`.
    name: str
    meaning: str
    data: Schema

    @property
    def type(self) -> str:
        """The CloudEvents type."""
        return f"{PREFIX}{self.name}{VERSION}"

    @property
    def about_ticket(self) -> bool:
        """Whether `subject` must name a ticket."""
        return self.name.startswith(("ticket.", "csat."))

    @property
    def may_revise(self) -> bool:
        """Whether one may take the place of an earlier one; the others have revisions of their own
        (csat.revised) or only grow."""
        return self.name.startswith("ticket.")


TYPES: Mapping[str, ToldType] = {
    told.type: told
    for told in (
        ToldType(
            "ticket.created",
            "The ticket was opened; it counts once its severity is known.",
            _object({**_STANDING, "actor": _ACTOR}, **_OWN_WORDS),
        ),
        ToldType(
            "ticket.status_changed",
            "Its state changed.",
            _object(
                {
                    "to": _STATE,
                    "said": _STATE_SAID,
                    "resolution": _one_of(ResolutionKind, "how a resolution came about"),
                    "bulk": _flag("changed together with many others, by no person"),
                    "migration": _flag("changed by a migration of the help desk"),
                    "actor": _ACTOR,
                },
                **_exactly_one("to", "said"),
            ),
        ),
        ToldType(
            "ticket.assigned",
            "It was given to somebody, or to nobody (null).",
            _object(
                {
                    "to": {
                        "type": ["string", "null"],
                        "minLength": 1,
                        "maxLength": 200,
                        "pattern": _NO_CONTROL,
                        "description": "the sender's id of the agent; kept apart from the ticket",
                    },
                    "actor": _ACTOR,
                },
                ["to"],
            ),
        ),
        ToldType(
            "ticket.group_changed",
            "It went to another queue or team.",
            _object(
                {
                    "to": _GROUP,
                    "automatic": _flag("first routing by a rule"),
                    "facets": _FACETS,
                    "actor": _ACTOR,
                },
                ["to"],
            ),
        ),
        ToldType(
            "ticket.priority_changed",
            "Its severity changed.",
            _object(
                {
                    "to": _SEVERITY,
                    "said": _SEVERITY_SAID,
                    "reason": _text(300, "why"),
                    "approved_by": _id("the sender's id of who approved a downgrade"),
                    "actor": _ACTOR,
                },
                **_exactly_one("to", "said"),
            ),
        ),
        ToldType(
            "ticket.category_changed",
            "It turned out to be about another capability.",
            _object(
                {"to": _CAPABILITY, "facets": _FACETS, "actor": _ACTOR},
                **_exactly_one("to", "facets"),
            ),
        ),
        ToldType(
            "ticket.message",
            "Somebody wrote something; only what the requester can see is public.",
            _object(
                {
                    "public": _flag("whether the requester can see it"),
                    "actor": _ACTOR,
                    "text": _text(20_000, "its words; emptied after 30 days"),
                    "meaning": _one_of(Meaning, "whether a reply helped; absent: read off `text`"),
                    "template": _flag("sent from a template or macro"),
                },
                ["public", "actor"],
            ),
        ),
        ToldType(
            "ticket.escalated",
            "A higher tier or management was called.",
            _object(
                {
                    "kind": _one_of(("functional", "hierarchical"), "to a tier or to management"),
                    "reason": _text(300, "why"),
                    "planned": _flag("part of the plan: counted as none"),
                    "actor": _ACTOR,
                },
                ["kind"],
            ),
        ),
        ToldType(
            "ticket.merged",
            "It was merged into another ticket.",
            _object({"into": _id("id of the ticket that goes on"), "actor": _ACTOR}, ["into"]),
        ),
        ToldType("ticket.deleted", "It was deleted.", _object({"actor": _ACTOR})),
        ToldType(
            "ticket.followup_of",
            "It follows another ticket.",
            _object({"parent": _id("id of the ticket it follows")}, ["parent"]),
        ),
        ToldType(
            "ticket.flagged",
            "Something is said of it as a whole.",
            _object(
                {
                    "flag": _one_of(Flag, "what is said"),
                    "value": _flag("false takes it back; absent: true"),
                    "actor": _ACTOR,
                },
                ["flag"],
            ),
        ),
        ToldType(
            "ticket.problem_linked",
            "It turned out to share a problem with other tickets, or not to (null).",
            _object(
                {
                    "to": _PROBLEM,
                    "kind": _one_of(
                        ProblemKind, "a problem record (absent), a known defect, a duplicate"
                    ),
                    "actor": _ACTOR,
                },
                ["to"],
            ),
        ),
        ToldType(
            "ticket.snapshot",
            "How it stood at `time`; what is not said is unchanged.",
            _object(
                {
                    **_STANDING,
                    "agent": _id("the sender's id of the agent; kept apart"),
                    "previous_read_at": _text(
                        40,
                        "when you had last looked at it before (RFC 3339): a change that this shows"
                        " may have been as early; absent: since it was told before",
                    ),
                    "actor": _ACTOR,
                },
                **_OWN_WORDS,
            ),
        ),
        ToldType("csat.offered", "A rating was asked for.", _unanswered()),
        ToldType("csat.responded", "A rating was given.", _answer()),
        ToldType("csat.revised", "A rating was changed; this is its latest word.", _answer()),
        ToldType("csat.declined", "Whoever was asked said no.", _unanswered()),
        ToldType("csat.expired", "Nobody answered in time.", _unanswered()),
        ToldType(
            "selfservice.started",
            "Somebody began a task that is done without us.",
            _object(_USE, ["capability", "user"]),
        ),
        ToldType(
            "selfservice.completed",
            "Somebody finished a task without us.",
            _object(_USE, ["capability", "user"]),
        ),
        ToldType(
            "selfservice.abandoned",
            "Somebody gave a task up.",
            _object(_USE, ["capability", "user"]),
        ),
        ToldType(
            "telemetry.outcome",
            "Somebody did something on a platform, and it worked or not.",
            _object(
                {**_USE, "success": _flag("whether it worked")},
                ["capability", "user", "success"],
            ),
        ),
    )
}

#: The attributes of an event. Names of extensions are those CloudEvents allows; they are kept.
ENVELOPE: Schema = {
    "$schema": DIALECT,
    "title": "CloudEvent",
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0", "description": "of CloudEvents; may be left out"},
        "id": _id("the sender's id of the event: the same id tells the same"),
        "source": {**_text(60, "the name of the connection"), "pattern": "^[-a-zA-Z0-9_]+(?!\\n)$"},
        "type": _one_of(TYPES, "what happened"),
        "subject": _id("the sender's id of the ticket"),
        "time": _text(40, "when it happened: RFC 3339 with its offset from UTC"),
        "sequence": _text(36, "orders events of one instant, compared as text"),
        "revises": _id("id of the earlier event whose place this one takes"),
        "datacontenttype": {"const": "application/json"},
        "dataschema": _text(500, "address of the schema of `data`, as published here"),
        "data": {"type": "object", "description": "as the type's schema says"},
    },
    "patternProperties": {
        "^[a-z0-9]{1,20}$": {
            "description": "an extension attribute: kept with the event, not interpreted"
        }
    },
    "required": ["id", "source", "type", "time", "data"],
    "additionalProperties": False,
}


def schema_of(told: ToldType, *, at: str) -> dict[str, Any]:
    """The schema of a type's data as it is published; `at` is its own address."""
    return {
        "$schema": DIALECT,
        "$id": at,
        "title": told.type,
        "description": told.meaning,
        **told.data,
    }


_ENVELOPE = Draft202012Validator(ENVELOPE)
_DATA = {told.type: Draft202012Validator(dict(told.data)) for told in TYPES.values()}


def mistakes(body: Any) -> list[dict[str, str]]:
    """What is wrong with the form of an event: field and reason, an empty list where nothing is."""
    found = [one for error in _ENVELOPE.iter_errors(body) for one in _told(error)]
    if found:
        return _in_order(found)
    told = TYPES[body["type"]]
    if told.about_ticket and "subject" not in body:
        found.append({"field": "subject", "reason": "is missing: the id of the ticket"})
    if "revises" in body and not told.may_revise:
        found.append(
            {"field": "revises", "reason": f"an event of type {told.name} takes no other's place"}
        )
    if body.get("revises") == body["id"]:
        found.append({"field": "revises", "reason": "an event cannot take its own place"})
    schema = body.get("dataschema")
    if schema is not None and not schema.rstrip("/").endswith(f"/ingest/schemas/{told.type}"):
        found.append(
            {"field": "dataschema", "reason": f"is not the published schema of {told.type}"}
        )
    for error in _DATA[told.type].iter_errors(body["data"]):
        found += _told(error, "data")
    return _in_order(found)


def _in_order(found: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each mistake once, in an order that does not depend on the validator."""
    seen = {(one["field"], one["reason"]): one for one in found}
    return [seen[key] for key in sorted(seen)]


def _told(error: ValidationError, *inside: str) -> list[dict[str, str]]:
    """What the validator found, in words for the sender; fields are named by their path."""
    path = [*inside, *(str(part) for part in error.absolute_path)]
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            return [_at([*path, name], "is missing") for name in wanted if name not in _held(error)]
        case "additionalProperties" if wanted is False:
            known = sorted(_schema(error).get("properties", {}))
            extensions = _schema(error).get("patternProperties", {})
            return [
                _at([*path, name[:60]], f"is not known here; known are {', '.join(known)}")
                for name in sorted(set(_held(error)) - set(known))
                if not any(re.search(pattern, name) for pattern in extensions)
            ]
        case "oneOf":
            names = [name for branch in wanted for name in branch["required"]]
            reason = f"needs exactly one of {', '.join(names)}"
        case "not":
            reason = f"{' and '.join(wanted['required'])} exclude each other: say one"
        case "enum" | "const":
            words = wanted if error.validator == "enum" else [wanted]
            reason = f"{_short(error.instance)} is not one of {', '.join(map(str, words))}"
        case "type":
            kinds = wanted if isinstance(wanted, str) else " or ".join(wanted)
            reason = f"{_short(error.instance)} is not of type {kinds}"
        case "minLength" | "maxLength" | "minimum" | "maximum" | "minProperties" | "maxProperties":
            reason = f"{_short(error.instance)} breaks {error.validator} {wanted}"
        case "pattern" if wanted == _NO_CONTROL:
            reason = f"{_short(error.instance)} holds a character that controls (a line break …)"
        case _:
            reason = f"{_short(error.instance)} has not the right form"
    return [_at(path, reason)]


def _at(path: Sequence[str], reason: str) -> dict[str, str]:
    return {"field": ".".join(path), "reason": reason}


def _held(error: ValidationError) -> Mapping[str, Any]:
    """The object of which the validator speaks."""
    return error.instance if isinstance(error.instance, Mapping) else {}


def _schema(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}…"
