"""The second factor: an authenticator's codes (TOTP, RFC 6238), and recovery codes for when it is lost.

A code is used up by a conditional update, so of many concurrent uses one wins. Wrong codes are counted by user and
network: whoever guesses elsewhere does not keep the user out.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from hmac import compare_digest

import pyotp
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import Authenticator, RecoveryCode, User
from accounts.services.mail import mail_send, site_url
from platform_site.lib import origin
from platform_site.lib.errors import Conflict, InvalidRequest, NotAuthenticated, RateLimited
from platform_site.lib.ratelimit import count, network_of

ISSUER = "Steward"
STEP_SECONDS, WINDOW = 30, 1
DRAFT_SECONDS = 15 * 60
RECOVERY_CODES = 10
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, without letters that are taken for others: ten of them are 50 random bits."""
WRONG_FROM_A_NETWORK, WRONG_FROM_ANYWHERE = "5/5m", "100/h"
WRONG = "This code is not right, or it was used before. Wait for the next one and try again."
MISSING = "Enter the code of your authenticator, or a recovery code."


def is_enabled(user: User) -> bool:
    """Whether signing in takes a second factor."""
    return authenticator_of(user) is not None


def authenticator_of(user: User) -> Authenticator | None:
    """The user's authenticator once its first code was entered."""
    return Authenticator.objects.filter(user=user, confirmed_at__isnull=False).first()


def recovery_codes_left(user: User) -> int:
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


# --- Setting up and removing --------------------------------------------------------------------------------------
def authenticator_begin(*, user: User) -> Authenticator:
    """An authenticator with a new secret, which counts once `authenticator_confirm` saw a code of it.

    Raises:
        Conflict: the user has one already.
    """
    fresh = {"secret": pyotp.random_base32(), "created_at": timezone.now(), "last_step": 0}
    if not Authenticator.objects.filter(user=user, confirmed_at=None).update(**fresh):
        try:
            with transaction.atomic():
                Authenticator.objects.create(user=user, **fresh)
        except IntegrityError as exc:
            raise Conflict("You have an authenticator. Remove it before you set up another one.") from exc
    return Authenticator.objects.get(user=user)


def authenticator_draft(*, user: User) -> Authenticator:
    """The authenticator that is being set up, so that a page shown again has the same secret; a new one when it is old.

    Raises:
        Conflict: the user has one already.
    """
    draft = Authenticator.objects.filter(user=user, confirmed_at=None).first()
    if draft is not None and (timezone.now() - draft.created_at).total_seconds() < DRAFT_SECONDS:
        return draft
    return authenticator_begin(user=user)


def otpauth_url(authenticator: Authenticator) -> str:
    """The address that authenticators read from a QR code."""
    return pyotp.TOTP(authenticator.secret).provisioning_uri(name=authenticator.user.email, issuer_name=ISSUER)


def authenticator_confirm(*, user: User, code: str) -> list[str]:
    """Turns the second factor on with a first code: the recovery codes, told this once. No session ends.

    Raises:
        Conflict: nothing is being set up.
        InvalidRequest: the code is wrong.
        RateLimited: too many wrong ones.
    """
    with transaction.atomic():
        draft = Authenticator.objects.select_for_update().filter(user=user, confirmed_at=None).first()
        if draft is None:
            raise Conflict("No authenticator is being set up.")
        _refuse_when_spent(user)
        step = _step_of(draft, code)
        if step is not None:
            draft.confirmed_at, draft.last_step = timezone.now(), step
            draft.save(update_fields=["confirmed_at", "last_step"])
            audit.record(actor=user, action="second_factor.enable", target=user)
            _tell(user, "Your second factor is on", "second_factor_enabled")
            return _recovery_codes_make(user)
        _count_wrong(user)
    _audit_refusal(user)
    raise InvalidRequest(WRONG, errors={"code": [WRONG]})


def authenticator_remove(*, user: User, code: str) -> None:
    """Turns the second factor off with a fresh code.

    Raises:
        Conflict: there is none.
        InvalidRequest: the code is wrong.
        RateLimited: too many wrong ones.
    """
    code_require(user=user, code=code)
    authenticator_forget(user=user, actor=user)


@transaction.atomic
def authenticator_forget(*, user: User, actor: User | None) -> None:
    """Removes authenticator and recovery codes without a code: for somebody who lost both. `actor` None is the host's
    own administrator, at its command line."""
    removed, _ = Authenticator.objects.filter(user=user).delete()
    RecoveryCode.objects.filter(user=user).delete()
    if removed:
        audit.record(actor=actor, action="second_factor.remove", target=user)
        _tell(user, "Your second factor is off", "second_factor_removed")


def recovery_codes_replace(*, user: User, code: str) -> list[str]:
    """New recovery codes, told this once; the old ones end. Needs a fresh code.

    Raises:
        Conflict: there is no authenticator.
        InvalidRequest: the code is wrong.
        RateLimited: too many wrong ones.
    """
    code_require(user=user, code=code)
    with transaction.atomic():
        audit.record(actor=user, action="recovery_codes.replace", target=user)
        return _recovery_codes_make(user)


# --- Using codes --------------------------------------------------------------------------------------------------
def second_factor_demand(*, user: User, code: str) -> bool:
    """Whether a second factor was shown: False when the user has none, True when `code` is right.

    Raises:
        NotAuthenticated: the code is missing or wrong; `errors` names `otp`.
        RateLimited: too many wrong ones.
    """
    if not is_enabled(user):
        return False
    if not code.strip():
        raise NotAuthenticated(MISSING, errors={"otp": [MISSING]})
    if not _code_use(user, code):
        raise NotAuthenticated(WRONG, errors={"otp": [WRONG]})
    return True


def code_require(*, user: User, code: str) -> None:
    """Uses up a code of the authenticator or a recovery code, for somebody who is signed in.

    Raises:
        Conflict: there is no authenticator.
        InvalidRequest: the code is wrong.
        RateLimited: too many wrong ones.
    """
    if not is_enabled(user):
        raise Conflict("You have no authenticator.")
    if not _code_use(user, code):
        raise InvalidRequest(WRONG, errors={"code": [WRONG]})


def _code_use(user: User, code: str) -> bool:
    # The lock makes concurrent tries follow each other, so that none slips in before the one before it was counted.
    with transaction.atomic():
        authenticator = Authenticator.objects.select_for_update().filter(user=user, confirmed_at__isnull=False).first()
        _refuse_when_spent(user)
        if authenticator is not None and (_totp_use(authenticator, code) or _recovery_code_use(user, code)):
            return True
        _count_wrong(user)
    _audit_refusal(user)
    return False


def _totp_use(authenticator: Authenticator, code: str) -> bool:
    step = _step_of(authenticator, code)
    if step is None:
        return False
    newer = Authenticator.objects.filter(pk=authenticator.pk, confirmed_at__isnull=False, last_step__lt=step)
    if not newer.update(last_step=step):
        return False
    audit.record(actor=authenticator.user, action="second_factor.accept", target=authenticator.user)
    return True


def _step_of(authenticator: Authenticator, code: str) -> int | None:
    """The time step, of the current one and its neighbours, whose code this is."""
    digits = "".join(code.split())
    if not (len(digits) == 6 and digits.isascii() and digits.isdigit()):
        return None
    generator = pyotp.TOTP(authenticator.secret, interval=STEP_SECONDS)
    now = int(timezone.now().timestamp()) // STEP_SECONDS
    steps = range(now - WINDOW, now + WINDOW + 1)
    return max((step for step in steps if compare_digest(generator.generate_otp(step), digits)), default=None)


def _recovery_code_use(user: User, code: str) -> bool:
    unused = RecoveryCode.objects.filter(user=user, digest=_digest(user, code), used_at=None)
    if not unused.update(used_at=timezone.now()):
        return False
    left = recovery_codes_left(user)
    audit.record(actor=user, action="recovery_code.use", target=user, changes={"left": [left + 1, left]})
    _tell(user, "A recovery code was used", "recovery_code_used", left=left)
    return True


def _recovery_codes_make(user: User) -> list[str]:
    RecoveryCode.objects.filter(user=user).delete()
    words = ["".join(secrets.choice(ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=_digest(user, word)) for word in words)
    return [f"{word[:5]}-{word[5:]}" for word in words]


def _digest(user: User, code: str) -> str:
    """The SHA-256 of a recovery code as it was meant, whatever was typed for its dash and ambiguous letters."""
    typed = "".join(code.lower().replace("-", "").split())
    meant = typed.translate(str.maketrans("oil", "011"))
    return sha256(f"{user.pk} {meant}".encode()).hexdigest()


# --- Wrong codes --------------------------------------------------------------------------------------------------
def _refuse_when_spent(user: User) -> None:
    """Refuses a network with too many wrong codes. While codes are guessed from many, one from each is too many."""
    here = count("second-factor", _user_and_network(user), WRONG_FROM_A_NETWORK, increment=False)
    anywhere = count("second-factor-user", str(user.pk), WRONG_FROM_ANYWHERE, increment=False)
    if here.is_spent or (anywhere.is_spent and here.count > 0):
        minutes = max(1, round(here.retry_after / 60))
        detail = f"Too many wrong codes. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
        raise RateLimited(detail, retryable=True, retry_after=here.retry_after)


def _count_wrong(user: User) -> None:
    count("second-factor", _user_and_network(user), WRONG_FROM_A_NETWORK)
    anywhere = count("second-factor-user", str(user.pk), WRONG_FROM_ANYWHERE)
    if anywhere.count == anywhere.limit:
        _tell(user, "Many wrong codes were entered for your account", "second_factor_guessed", tries=anywhere.limit)


def _audit_refusal(user: User) -> None:
    audit.record(actor=None, action="second_factor.refuse", target=user)


def _user_and_network(user: User) -> str:
    return f"{user.pk} {network_of(origin.current.get().address)}"


def _tell(user: User, subject: str, template: str, **facts: object) -> None:
    context = {"user": user, "address": origin.current.get().address, "security_url": site_url("/account/security")}
    mail_send(recipient=user.email, subject=subject, template=template, context={**context, **facts})
