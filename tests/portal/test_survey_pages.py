"""What a requester sees: small, complete, nothing marked beforehand, nothing from elsewhere."""

import datetime as dt
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string

PAGES = sorted(
    path.stem for path in (Path(__file__).parents[2] / "templates" / "surveys").glob("*.html")
)
HOSTILE = '"><script>alert(1)</script>{{ 7 }}'


@pytest.fixture
def given():
    """Everything the templates say they take."""
    labels = ["Very satisfied", "Satisfied", "Neither", "Dissatisfied", "Very dissatisfied"]
    return {
        "organisation": "Acme",
        "greeting_name": "Rui",
        "ticket_subject": "Laptop & lid",
        "question": "How satisfied are you with the help?",
        "scale": [
            {"value": value, "label": label, "url": f"https://help.example/s/token/?score={value}"}
            for value, label in zip(range(5, 0, -1), labels, strict=True)
        ],
        "chosen": None,
        "minutes": 0,
        "who_sees": "The service desk sees your answer without your name.",
        "until": dt.datetime(2026, 12, 8, 17, tzinfo=dt.UTC),
        "unsubscribe_url": "https://help.example/s/token/stop/",
        "nonce": "n0nce",
        "chosen_label": "Satisfied",
        "waiting": "It waits for its batch.",
        "reasons": [
            {"value": "slow", "label": "It took too long", "chosen": False},
            {"value": "works", "label": "It works well", "chosen": True},
        ],
        "contact": False,
        "change_url": "https://help.example/s/token/",
        "domain": "IT",
    }


def page(name, context):
    return render_to_string(f"surveys/{name}.html", context)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_and_its_style_sheet_stay_under_20_kilobytes(name, given):
    sheet = Path(finders.find("wellserved/survey.css")).read_bytes()
    assert len(page(name, given).encode()) + len(sheet) < 20_000


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_inline_and_loads_nothing_from_elsewhere(name, given):
    words = page(name, given)
    assert not re.search(r"<style|\sstyle=|<script|\son\w+=", words)
    loaded = re.findall(r'<(?:link|img|script|iframe)[^>]*(?:href|src)="([^"]+)"', words)
    assert loaded
    assert all(address.startswith("/static/") for address in loaded)


def test_nothing_is_marked_before_a_choice(given):
    assert "checked" not in page("answer", given)


def test_the_choice_of_the_link_and_no_other_is_marked(given):
    words = page("answer", given | {"chosen": 2})
    assert re.findall(r'value="(\d)"[^>]* checked', words) == ["2"]


def test_the_question_says_who_sees_the_answer_how_long_it_takes_and_how_to_stop(given):
    words = page("answer", given)
    assert given["who_sees"] in words
    assert "a few seconds" in words
    assert given["unsubscribe_url"] in words
    assert 'name="nonce" value="n0nce"' in words
    assert words.count('type="radio"') == 5


def test_the_thanks_page_asks_for_more_and_can_take_the_answer_back(given):
    words = page("thanks", given)
    for needed in ('name="comment"', 'name="reasons"', 'name="contact"', given["change_url"]):
        assert needed in words
    assert given["waiting"] in words
    assert "8 December 2026, 17:00" in words


@pytest.mark.parametrize("name", PAGES)
def test_words_of_others_stay_words(name, given):
    hostile = given | dict.fromkeys(
        ("organisation", "ticket_subject", "question", "chosen_label", "comment", "domain"), HOSTILE
    )
    assert "<script" not in page(name, hostile)


@pytest.mark.parametrize("kind", ["txt", "html"])
def test_both_forms_of_the_mail_are_complete(kind, given):
    words = render_to_string(f"mail/invitation.{kind}", given)
    for step in given["scale"]:
        assert step["label"] in words
        assert step["url"] in words
    for needed in (
        given["question"],
        given["who_sees"],
        given["unsubscribe_url"],
        "a few seconds",
        "8 December 2026",
        "Rui",
        "Laptop",
        "reply to this mail",
    ):
        assert needed in words


def test_the_text_mail_prints_characters_and_the_html_mail_escapes_them(given):
    assert 'request "Laptop & lid" was' in render_to_string("mail/invitation.txt", given)
    hostile = given | {"ticket_subject": HOSTILE}
    assert "<script" not in render_to_string("mail/invitation.html", hostile)


def test_the_pages_tested_here_are_those_the_survey_has():
    assert {"answer", "thanks", "already", "expired", "unknown", "unsubscribe"} <= set(PAGES)
