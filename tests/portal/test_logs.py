"""Logs are lines of JSON, of few fields, without what opens something by itself."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest

from portal.logs import JsonLines, MaskTokens


@pytest.fixture
def written() -> tuple[logging.Logger, StringIO]:
    """A logger of its own as the product's settings write it."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    handler.addFilter(MaskTokens())
    logger = logging.Logger("some.room")
    logger.addHandler(handler)
    return logger, stream


def test_a_line_break_in_what_is_said_begins_no_line(
    written: tuple[logging.Logger, StringIO],
) -> None:
    logger, stream = written
    logger.warning("asked for %s", 'x\n{"level": "ERROR"}\r\nGET /s/secret', extra={"body": "y"})
    [line] = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told.keys() == {"at", "level", "logger", "message"}
    assert (told["level"], told["logger"]) == ("WARNING", "some.room")
    assert told["message"] == 'asked for x\n{"level": "ERROR"}\r\nGET /s/<token>'


def test_half_a_character_is_written_too(written: tuple[logging.Logger, StringIO]) -> None:
    logger, stream = written
    logger.warning("it says %s", "\ud83d and ö")
    stream.getvalue().encode()
    assert json.loads(stream.getvalue())["message"] == "it says \ud83d and ö"


def test_a_failure_is_told_in_its_own_field(written: tuple[logging.Logger, StringIO]) -> None:
    logger, stream = written
    try:
        raise ValueError("at /hooks/secret/")
    except ValueError:
        logger.exception("could not")
    told = json.loads(stream.getvalue())
    assert told["message"] == "could not"
    assert told["failure"].endswith("ValueError: at /hooks/<token>/")
    assert "secret" not in stream.getvalue()
