"""The sign-in library behind our pages: confirming who one is, and telling strangers nothing."""

import re

import pytest
from django.core import mail
from django.urls import reverse

from portal.people.models import Person

PASSWORD = "a long enough secret"

pytestmark = pytest.mark.django_db


@pytest.fixture
def person():
    return Person.objects.create_user(email="olga@acme.example", name="Olga", password=PASSWORD)


def test_a_step_that_needs_confirming_asks_for_it_and_then_goes_on(client, person):
    client.force_login(person)
    wanted = reverse("mfa_activate_totp")
    asked = client.get(wanted)
    assert asked.status_code == 302
    assert asked.url.startswith(reverse("account_reauthenticate"))
    confirmed = client.post(asked.url, {"password": PASSWORD})
    assert confirmed.status_code == 302
    assert confirmed.url == wanted
    assert client.get(wanted).status_code == 200


def test_a_wrong_password_does_not_confirm(client, person):
    client.force_login(person)
    asked = client.get(reverse("mfa_activate_totp"))
    refused = client.post(asked.url, {"password": "another long secret"})
    assert refused.status_code == 200
    assert client.get(reverse("mfa_activate_totp")).status_code == 302


def test_a_reset_says_the_same_of_a_stranger_and_mails_only_the_person(client, person):
    answers = [
        client.post(reverse("account_reset_password"), {"email": address}, follow=True)
        for address in (person.email, "nobody@acme.example")
    ]
    known, unknown = (
        re.sub(rb'name="csrfmiddlewaretoken" value="\w+"', b"", a.content) for a in answers
    )
    assert [a.status_code for a in answers] == [200, 200]
    assert known == unknown
    assert [message.to for message in mail.outbox] == [[person.email]]


@pytest.mark.parametrize(
    "page",
    [
        "account_login",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key_done",
    ],
)
def test_pages_before_sign_in_open_without_anything_inline(client, page):
    answer = client.get(reverse(page))
    assert answer.status_code == 200
    assert not re.search(rb"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", answer.content)


def test_pages_after_sign_in_open_without_anything_inline(client, person):
    client.post(reverse("account_login"), {"login": person.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    for page in ("account_logout", "account_change_password", "mfa_index", "mfa_activate_totp"):
        answer = client.get(reverse(page))
        assert answer.status_code == 200, page
        assert not re.search(rb"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", answer.content)
