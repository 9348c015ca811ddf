"""What people and devices can do with appliances. Pages, REST, devices and admin call these."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import MANAGE, require, require_in
from accounts.tenancy import all_organisations
from appliances import secrets
from appliances.models import Appliance, Heartbeat
from platform_site.lib.errors import InvalidRequest, NotAuthenticated, NotFound

CODE_LIFETIME = timedelta(hours=24)
MAX_CONFIG_CHARACTERS = 64 * 1024
# Names go into inventories and file names, addresses into the argument list of ssh: neither may be read as a template,
# a path or an option.
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,78}[A-Za-z0-9])?")
ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?|::1")


@dataclass(frozen=True)
class Beat:
    """What a heartbeat says, checked at the door. `measured_at` is the device's clock."""

    version: str
    uptime_seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    config_version: int | None = None
    beat_id: uuid.UUID | None = None
    measured_at: datetime | None = None


def appliance_find(appliance_id: uuid.UUID | str) -> Appliance:
    """The appliance with this id in the open scope.

    Raises:
        NotFound: it does not exist or belongs to another organisation; both look alike.
    """
    appliance = Appliance.objects.filter(pk=appliance_id).first()
    if not isinstance(appliance, Appliance):
        raise NotFound("There is no such appliance.")
    return appliance


def appliance_create(*, organisation_id: uuid.UUID, actor: User, name: str, address: str = "") -> tuple[Appliance, str]:
    """A new appliance and its enrolment code, which is told this once and works once within `CODE_LIFETIME`.

    Raises:
        InvalidRequest: the name or the address cannot be used, or the name is taken.
    """
    require_in(actor, MANAGE, organisation_id)
    code = secrets.new_code()
    appliance = Appliance(
        organisation_id=organisation_id,
        created_by=actor,
        name=_checked("name", name, NAME, "Letters, digits, spaces, dots, hyphens and underscores, up to 80."),
        address=_checked("address", address, ADDRESS, "A host name or an IP address.") if address.strip() else "",
        enrolment_code_hash=secrets.code_hash(code),
        enrolment_expires_at=timezone.now() + CODE_LIFETIME,
    )
    try:
        with transaction.atomic():
            appliance.save(force_insert=True)
            made = {"name": ["", appliance.name]}
            audit.record(actor=actor, action="appliance.create", target=appliance, changes=made)
            audit.record(actor=actor, action="appliance.show_code", target=appliance)
    except IntegrityError as exc:
        taken = f"There is an appliance called {appliance.name} already."
        raise InvalidRequest(taken, errors={"name": [taken]}) from exc
    return appliance, code


def _checked(field_name: str, raw: str, pattern: re.Pattern[str], rule: str) -> str:
    value = raw.strip()
    if not pattern.fullmatch(value):
        raise InvalidRequest(f"This {field_name} cannot be used. {rule}", errors={field_name: [rule]})
    return value


def appliance_enroll(*, code: str) -> tuple[Appliance, str]:
    """Uses up an enrolment code: the appliance it stands for, and its key, which is told this once.

    Raises:
        NotAuthenticated: the code is wrong, used or expired; all look alike.
    """
    key = secrets.new_key()
    now = timezone.now()
    with all_organisations(), transaction.atomic():
        locked = Appliance.objects.select_for_update(of=("self",))
        waiting = locked.filter(enrolment_code_hash=secrets.code_hash(code), organisation__closed_at=None)
        appliance = waiting.filter(enrolment_expires_at__gt=now).first()
        if appliance is None:
            raise NotAuthenticated("This enrolment code is not valid: it is wrong, used or expired.")
        appliance.enrolment_code_hash = appliance.enrolment_expires_at = None
        appliance.key_hash, appliance.enrolled_at = secrets.key_hash(key), now
        appliance.save(update_fields=["enrolment_code_hash", "enrolment_expires_at", "key_hash", "enrolled_at"])
        audit.record(actor=None, action="appliance.enroll", target=appliance)
    return appliance, key


def device_authenticate(*, key: str) -> Appliance:
    """The appliance that holds `key`.

    Raises:
        NotAuthenticated: no appliance does.
    """
    with all_organisations():
        known = Appliance.objects.filter(key_hash=secrets.key_hash(key), organisation__closed_at=None)
        appliance = known.first()
    if not isinstance(appliance, Appliance):
        raise NotAuthenticated("This device key is not valid.")
    return appliance


def heartbeat_record(*, appliance: Appliance, beat: Beat) -> datetime:
    """Stores a heartbeat and answers when it was received. When this returns, it is committed.

    A beat that was stored before (its answer was lost on the way) is not stored again.
    """
    now = timezone.now()
    # `durable` refuses to run inside another transaction, so nobody can answer a device before the commit.
    with transaction.atomic(durable=True):
        row = Heartbeat(
            organisation_id=appliance.organisation_id,
            appliance=appliance,
            beat_id=beat.beat_id,
            measured_at=beat.measured_at,
            version=beat.version,
            uptime_seconds=beat.uptime_seconds,
            config_version=beat.config_version,
            metrics=beat.metrics,
        )
        Heartbeat.objects.bulk_create([row], ignore_conflicts=True)
        Appliance.objects.filter(pk=appliance.pk).update(
            version=beat.version, config_version=beat.config_version, last_heartbeat_at=now
        )
    return now


@transaction.atomic
def appliance_configure(*, appliance: Appliance, actor: User, document: dict[str, Any]) -> Appliance:
    """Makes `document` the desired configuration, under a new version unless it is the one there is.

    Raises:
        InvalidRequest: it is not a JSON object or too large.
    """
    require(actor, MANAGE, appliance)
    if not isinstance(document, dict) or not _is_json(document):
        raise InvalidRequest("The configuration must be a JSON object.", errors={"desired_config": ["Not an object."]})
    current: Appliance = Appliance.objects.select_for_update().get(pk=appliance.pk)
    if current.desired_config == document:
        return current
    current.desired_config = document
    current.desired_version += 1
    if len(current.config_body) > MAX_CONFIG_CHARACTERS:
        raise InvalidRequest("The configuration is too large.", errors={"desired_config": ["At most 64 KiB."]})
    current.save(update_fields=["desired_config", "desired_version"])
    versions = {"desired_version": [current.desired_version - 1, current.desired_version]}
    audit.record(actor=actor, action="appliance.configure", target=current, changes=versions)
    return current


def _is_json(document: dict[str, Any]) -> bool:
    """Whether strict JSON can say it, which NaN and Infinity are not part of."""
    try:
        json.dumps(document, allow_nan=False)
    except ValueError:
        return False
    return True
