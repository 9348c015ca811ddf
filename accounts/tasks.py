"""What accounts do by themselves every so often."""

from __future__ import annotations

from accounts.services.mail import mail_deliver, mail_forget
from platform_site.lib.chores import chore

chore("accounts.mail", every=2)(mail_deliver)
chore("accounts.mail_forget", every=86_400)(mail_forget)
