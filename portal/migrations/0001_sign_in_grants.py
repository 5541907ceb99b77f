"""What the web and worker roles may do with the tables of the sign-in and session libraries."""

from django.db import migrations

#: Tables without an organisation: they are read before anyone knows which one is meant.
SIGN_IN = (
    "django_session",
    "account_emailaddress",
    "account_emailconfirmation",
    "mfa_authenticator",
)
READ_ONLY = ("django_content_type", "django_migrations", "auth_permission", "django_admin_log")


def _grants(verb: str, preposition: str) -> list[str]:
    writable = ", ".join(f'"{table}"' for table in SIGN_IN)
    readable = ", ".join(f'"{table}"' for table in READ_ONLY)
    return [
        f"{verb} SELECT, INSERT, UPDATE, DELETE ON {writable} {preposition} wellserved_web",
        f"{verb} SELECT ON {readable} {preposition} wellserved_web, wellserved_worker",
        f"{verb} SELECT ON {writable}, {readable} {preposition} wellserved_backup",
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("account", "0009_emailaddress_unique_primary_email"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("sessions", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("people", "0002_protect"),
    ]

    operations = [
        migrations.RunSQL(
            sql=_grants("GRANT", "TO"),
            reverse_sql=_grants("REVOKE", "FROM"),
        ),
    ]
