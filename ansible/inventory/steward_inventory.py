#!/usr/bin/env python3
"""Ansible's dynamic inventory: the enrolled appliances of one organisation, from Steward's database.

    STEWARD_ORGANISATION=acme ansible-inventory --list
    STEWARD_ORGANISATION=acme ansible-playbook playbooks/users.yml --extra-vars @users-of-acme.yml

One organisation at a time, named by its slug: a play over `all` must never reach another one's machines.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INTERPRETER = ROOT / ".venv" / "bin" / "python"


def use_own_interpreter() -> None:
    """Ansible starts this with whatever python3 it finds; Steward's libraries are in its own environment."""
    if INTERPRETER.exists() and Path(sys.prefix) != INTERPRETER.parents[1]:
        os.execv(INTERPRETER, [str(INTERPRETER), __file__, *sys.argv[1:]])  # noqa: S606


def main() -> int:
    if sys.argv[1:] != ["--list"]:
        # With `_meta` in the list, Ansible never asks for a single host.
        sys.stderr.write("usage: STEWARD_ORGANISATION=slug steward_inventory.py --list\n")
        return 2
    organisation = os.environ.get("STEWARD_ORGANISATION", "")
    if not organisation:
        sys.stderr.write("Set STEWARD_ORGANISATION to the slug of the organisation whose appliances are meant.\n")
        return 2
    # The working folder is Ansible's; the product is found from here. Both come after the interpreter was chosen.
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")
    import django

    django.setup()
    from appliances.inventory import inventory_of
    from platform_site.lib.errors import StewardError

    try:
        inventory = inventory_of(organisation=organisation)
    except StewardError as exc:
        sys.stderr.write(f"{exc.detail}\n")
        return 1
    sys.stdout.write(json.dumps(inventory, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    use_own_interpreter()
    sys.exit(main())
