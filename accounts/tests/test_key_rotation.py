"""Stored secrets move to a new key while the installation runs, and nothing is lost on the way."""

from __future__ import annotations

import stat
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.tokens import default_token_generator
from django.core import signing
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.models import Authenticator, OutgoingMail
from aigen.models import ProviderEndpoint
from platform_site.lib import key_rotation
from platform_site.lib.key_rotation import columns, rotate
from platform_site.lib.secrets import encryption_keys, is_current

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TEXT = "Follow this link"


@pytest.fixture
def kept(settings, tmp_path):
    """An embedded installation's key file, with one key."""
    settings.KEPT_ENCRYPTION_KEYS = tmp_path / "encryption_keys"
    settings.KEPT_ENCRYPTION_KEYS.write_text(OLD)
    return settings.KEPT_ENCRYPTION_KEYS


@pytest.fixture
def given(settings):
    """A production installation, where the environment gives the keys."""
    settings.KEPT_ENCRYPTION_KEYS = None
    settings.ENCRYPTION_KEYS = [OLD]
    return settings


@pytest.fixture
def mails(db):
    return lambda count: [OutgoingMail.objects.create(recipient="a@b.example", body=TEXT) for _ in range(count)]


def stored(mail: OutgoingMail) -> str:
    key = mail.pk.hex if connection.vendor == "sqlite" else mail.pk
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM accounts_outgoingmail WHERE id = %s", [key])
        return cursor.fetchone()[0]


def command(*options: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("rotate_keys", *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_every_encrypted_column_is_known():
    found = {f"{model._meta.label}.{name}" for model, name in columns()}
    assert found >= {
        "accounts.Authenticator.secret",
        "accounts.OidcIdentity.refresh_token",
        "accounts.OutgoingMail.body",
        "aigen.ProviderEndpoint.api_key",
    }


def test_embedded_installation_gets_a_new_key_and_gives_up_the_old_one(kept, mails, alice):
    mail, *_ = mails(3)
    Authenticator.objects.create(user=alice, secret="JBSWY3DPEHPK3PXP")
    ProviderEndpoint.objects.create(name="ours", kind="openai", api_key="sk-not-a-real-key-at-all")
    before = stored(mail)
    said, problems = command("--generate")
    assert ("5 moved; 0 still use older keys." in said, problems) == (True, "")
    assert len(encryption_keys()) == 2 and stored(mail) != before and is_current(stored(mail))
    assert "1 older keys removed." in command("--retire")[0]
    assert kept.read_text() == encryption_keys()[0] != OLD
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert OutgoingMail.objects.get(pk=mail.pk).body == TEXT
    assert Authenticator.objects.get(user=alice).secret == "JBSWY3DPEHPK3PXP"
    assert "0 moved" in command()[0]


def test_server_that_runs_meanwhile_uses_the_new_key_at_once(kept, mails):
    mails(1)
    kept.write_text(f"{NEW},{OLD}")
    assert encryption_keys() == (NEW, OLD)
    Fernet(NEW).decrypt(stored(mails(1)[0]))


def test_rotation_goes_on_where_it_was_cut_off(given, mails, monkeypatch):
    monkeypatch.setattr(key_rotation, "BATCH", 2)
    made = mails(5)
    given.ENCRYPTION_KEYS = [NEW, OLD]

    def cut_off(so_far) -> None:
        if so_far.values == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(OutgoingMail, "body", progress=cut_off)
    assert sum(is_current(stored(mail)) for mail in made) == 4
    again = rotate(OutgoingMail, "body")
    assert (again.values, again.rotated, again.older) == (5, 1, 0)


def test_value_that_changes_meanwhile_is_not_overwritten(given, mails, monkeypatch):
    mail = mails(1)[0]
    given.ENCRYPTION_KEYS = [NEW, OLD]
    read = key_rotation.decrypt

    def write_meanwhile(value: str) -> str:
        OutgoingMail.objects.filter(pk=mail.pk).update(body="Newer")
        return read(value)

    monkeypatch.setattr(key_rotation, "decrypt", write_meanwhile)
    assert rotate(OutgoingMail, "body").rotated == 0
    assert OutgoingMail.objects.get(pk=mail.pk).body == "Newer"


def test_value_that_no_key_opens_is_named_and_left(given, mails):
    lost, fine = mails(2)
    given.ENCRYPTION_KEYS = [NEW]
    readable = mails(1)[0]
    said, problems = command()
    assert f"accounts.OutgoingMail.body of {lost.pk} cannot be read" in problems and str(fine.pk) in problems
    assert str(readable.pk) not in problems
    assert "0 still use older keys" in said
    given.ENCRYPTION_KEYS = [NEW, OLD]
    assert OutgoingMail.objects.get(pk=lost.pk).body == TEXT


def test_production_says_which_variable_to_change(given, mails):
    mails(1)
    with pytest.raises(CommandError, match="ENCRYPTION_KEYS"):
        command("--generate")
    given.ENCRYPTION_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="Nothing needs the older keys any more"):
        command("--retire")
    given.ENCRYPTION_KEYS = [NEW]
    assert [mail.body for mail in OutgoingMail.objects.all()] == [TEXT]


def test_former_secret_key_still_opens_what_it_signed(settings, alice):
    browsers = [Client(), Client()]
    for browser in browsers:
        browser.force_login(alice)
    alice.refresh_from_db()
    signed, token = signing.dumps("value"), default_token_generator.make_token(alice)
    former, settings.SECRET_KEY = settings.SECRET_KEY, "a-new-secret-key-that-nobody-has-seen-before-0123456789"
    assert browsers[0].get("/runs").status_code == 302, "without the former one everybody is signed out"
    settings.SECRET_KEY_FALLBACKS = [former]
    assert browsers[1].get("/runs").status_code == 200
    assert signing.loads(signed) == "value"
    assert default_token_generator.check_token(alice, token)
