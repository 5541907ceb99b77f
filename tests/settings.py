"""Settings of the test run: the product's own, with fast hashing and the test login role."""

import os

os.environ.setdefault("DATABASE_ROLE", "test")
os.environ.setdefault("DEMO", "1")

from portal.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
REQUIRE_MFA = False

#: Engineers and CI jobs side by side need databases of their own.
DATABASES["default"]["TEST"] = {  # noqa: F405
    "NAME": os.environ.get("WELLSERVED_TEST_DATABASE", "test_wellserved"),
}

#: Static files straight from the rooms: nobody collects them for a test run.
WHITENOISE_AUTOREFRESH = True
