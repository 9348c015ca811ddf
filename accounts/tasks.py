"""What accounts do by themselves every so often."""

from __future__ import annotations

from accounts.oidc.configuration import is_configured
from accounts.services.closing import organisations_purge
from accounts.services.devices import devices_forget
from accounts.services.families import families_forget
from accounts.services.invitations import invitations_forget
from accounts.services.mail import mail_deliver, mail_forget
from accounts.services.sessions import sessions_forget
from platform_site.lib.chores import chore

chore("accounts.mail", every=2)(mail_deliver)
chore("accounts.mail_forget", every=86_400)(mail_forget)
chore("accounts.sessions_forget", every=86_400)(sessions_forget)
chore("accounts.organisations_purge", every=600)(organisations_purge)
chore("accounts.invitations_forget", every=86_400)(invitations_forget)
chore("accounts.families_forget", every=86_400)(families_forget)
chore("accounts.devices_forget", every=86_400)(devices_forget)


@chore("accounts.identities_check", every=60)
def identities_check() -> None:
    """Asks the identity provider, where there is one, whether people are still known there."""
    if is_configured():
        # Loading what talks to the provider is slow, and most installations have none.
        from accounts.services import identity_checks

        identity_checks.identities_check()
