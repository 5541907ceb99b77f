"""Second factors, as the sign-in library keeps them."""

from allauth.mfa.utils import is_mfa_enabled

from portal.people.models import Person


def has_second_factor(person: Person) -> bool:
    """Whether the person signs in with more than a password."""
    return bool(is_mfa_enabled(person))
