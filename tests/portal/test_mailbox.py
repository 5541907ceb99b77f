"""The demo's mailbox shows an organisation its own mails, and nothing in production."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.mailbox import mails
from tests.factories import Cast
from tests.surveys.asking import HOUR, answer_of, campaign, invited


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DEMO = True
    settings.MAILBOX_FOLDER = str(tmp_path)
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": str(tmp_path)},
        }
    }
    return tmp_path


@pytest.fixture
def token(cast: Cast, folder: Path) -> str:
    campaign(cast)
    return invited(cast, at=timezone.now() - HOUR, subject="<script>alert(1)</script> – Drucker")


def page(client: Client, organisation: str) -> Any:
    return client.get(reverse("mailbox", args=[organisation]))


def test_a_visitor_reads_the_mail_and_follows_its_link_to_answer(
    cast: Cast, token: str, client: Client, settings: Any
) -> None:
    client.force_login(cast.rui)
    html = page(client, "acme").content.decode()
    assert "Acme &lt;" in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; – Drucker" in html
    links = re.findall(rf'href="{settings.PUBLIC_URL}(/s/[^"]+)"', html)
    assert f"/s/{token}/?score=5" in links
    question = client.get(f"/s/{token}/?score=5").content.decode()
    nonce = re.findall(r'name="nonce" value="(\w+)"', question)[0]
    client.post(f"/s/{token}/", {"score": "5", "nonce": nonce})
    assert answer_of(token, cast).score == 5


def test_another_organisation_sees_none_of_it(cast: Cast, token: str, client: Client) -> None:
    client.force_login(cast.eve)
    assert "No mail yet" in page(client, "globex").content.decode()
    assert page(client, "acme").status_code == 404


def test_outside_the_demo_there_is_no_mailbox(
    cast: Cast, token: str, client: Client, settings: Any
) -> None:
    client.force_login(cast.ada)
    assert page(client, "acme").status_code == 200
    settings.DEMO = False
    assert page(client, "acme").status_code == 404


def test_mails_in_one_file_come_apart_again(folder: Path) -> None:
    rule = "-" * 79
    texts = [
        f"Subject: {subject}\nMessage-ID: <{subject}@{slug}>\nFrom: a@b.c\nTo: d@e.f\n\nHello\n"
        for subject, slug in [("one", "acme"), ("two", "globex"), ("three", "acme")]
    ]
    (folder / "x.log").write_text("".join(f"{text}\n{rule}\n" for text in texts))
    assert [mail.subject for mail in mails(folder, domain="acme")] == ["three", "one"]
