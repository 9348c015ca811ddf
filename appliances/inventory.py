"""The fleet as Ansible sees it: the JSON of a dynamic inventory."""

from __future__ import annotations

from typing import Any

from accounts.models import Organisation
from accounts.tenancy import organisation_scope
from appliances.models import Appliance
from platform_site.lib.errors import NotFound

PUSH, PULL = "push", "pull"
"""Groups: Steward reaches the ones with an address over SSH; the others fetch their work themselves."""


def inventory_of(*, organisation: str) -> dict[str, Any]:
    """The enrolled appliances of the organisation with this slug, as `ansible-inventory --list` takes them.

    Hosts go by their id, which nobody can choose. Everything that people wrote is marked unsafe, so that Ansible
    never reads it as a template.

    Raises:
        NotFound: there is no such organisation.
    """
    owner = Organisation.objects.filter(slug=organisation).first()
    if owner is None:
        raise NotFound(f"There is no organisation with the slug '{organisation[:80]}'.")
    groups: dict[str, list[str]] = {PUSH: [], PULL: []}
    hostvars: dict[str, dict[str, Any]] = {}
    with organisation_scope(owner.pk):
        for appliance in Appliance.objects.enrolled().order_by("name"):
            groups[PUSH if appliance.address else PULL].append(str(appliance.pk))
            hostvars[str(appliance.pk)] = _variables(appliance)
    inventory: dict[str, Any] = {name: {"hosts": hosts} for name, hosts in groups.items()}
    return inventory | {"_meta": {"hostvars": hostvars}}


def _variables(appliance: Appliance) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "steward_name": _unsafe(appliance.name),
        "steward_state": appliance.state,
        "steward_version": _unsafe(appliance.version),
    }
    if appliance.address:
        variables["ansible_host"] = _unsafe(appliance.address)
    return variables


def _unsafe(text: str) -> dict[str, str]:
    return {"__ansible_unsafe": text}
