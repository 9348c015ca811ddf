"""The plays and their inventory: what they take, what they are told, what plain Ansible makes of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.db import connection

from accounts.tenancy import all_organisations
from appliances import services
from appliances.inventory import inventory_of
from appliances.models import Appliance
from platform_site.lib.errors import NotFound

FOLDER = Path(__file__).resolve().parents[2] / "ansible"
USERS = FOLDER / "roles" / "users"
SCRIPT = FOLDER / "inventory" / "steward_inventory.py"
needs_ansible = pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="ansible-core is not installed")
needs_sqlite = pytest.mark.skipif(
    not settings.DATABASE_URL.startswith("sqlite"), reason="the script is pointed at the test database by its file"
)


def read(path: Path):
    return yaml.safe_load(path.read_text())


def add(name: str, organisation, actor, *, address: str = "", enrolled: bool = True) -> Appliance:
    appliance, code = services.appliance_create(
        organisation_id=organisation.pk, actor=actor, name=name, address=address
    )
    return services.appliance_enroll(code=code)[0] if enrolled else appliance


@pytest.fixture
def fleet(acme, alice, globex, bob) -> dict[str, Appliance]:
    return {
        "pushed": add("attic", acme, alice, address="attic.acme.example"),
        "pulled": add("cellar", acme, alice),
        "waiting": add("new", acme, alice, enrolled=False),
        "foreign": add("theirs", globex, bob, address="192.0.2.7"),
    }


# --- Inventory ----------------------------------------------------------------------------------------------------
def test_the_inventory_lists_enrolled_appliances_of_one_organisation(fleet):
    inventory = inventory_of(organisation="acme")
    assert inventory["push"]["hosts"] == [str(fleet["pushed"].pk)]
    assert inventory["pull"]["hosts"] == [str(fleet["pulled"].pk)]
    hostvars = inventory["_meta"]["hostvars"]
    assert set(hostvars) == {str(fleet["pushed"].pk), str(fleet["pulled"].pk)}
    assert hostvars[str(fleet["pushed"].pk)]["ansible_host"] == {"__ansible_unsafe": "attic.acme.example"}
    assert "ansible_host" not in hostvars[str(fleet["pulled"].pk)]


def test_nothing_secret_is_in_the_inventory(fleet):
    text = json.dumps(inventory_of(organisation="acme"))
    assert fleet["pushed"].key_hash not in text
    assert "theirs" not in text


def test_an_organisation_that_is_not_there_is_an_error_and_not_an_empty_fleet(db):
    with pytest.raises(NotFound):
        inventory_of(organisation="nobody")


def script(*arguments: str, organisation: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        # Where the script is copied without the environment, it runs with the interpreter of these tests.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
        "STEWARD_VAR_DIR": str(settings.STEWARD_VAR_DIR),
        "STEWARD_ORGANISATION": organisation,
    }
    return subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, timeout=60, env=environment)


@needs_sqlite
def test_the_script_prints_it_and_refuses_to_mean_everybody(transactional_db, fleet):
    done = script("--list", organisation="acme")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == inventory_of(organisation="acme")
    assert "STEWARD_ORGANISATION" in script("--list").stderr
    assert script("--list").returncode == 2
    assert script("--list", organisation="nobody").returncode == 1


@needs_ansible
@needs_sqlite
def test_ansible_reads_the_inventory_and_no_template_in_it(transactional_db, fleet, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    with all_organisations():
        Appliance.objects.filter(pk=fleet["pushed"].pk).update(name=f"{{{{ lookup('pipe', 'touch {marker}') }}}}")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{connection.settings_dict['NAME']}")
    monkeypatch.setenv("STEWARD_VAR_DIR", str(settings.STEWARD_VAR_DIR))
    monkeypatch.setenv("STEWARD_ORGANISATION", "acme")
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path / "home"))
    listed = subprocess.run(["ansible-inventory", "--list"], cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert listed.returncode == 0, listed.stderr
    assert str(fleet["pulled"].pk) in listed.stdout
    shown = subprocess.run(
        ["ansible", str(fleet["pushed"].pk), "-m", "debug", "-a", "var=steward_name"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "lookup('pipe'" in shown.stdout, shown.stdout + shown.stderr
    assert not marker.exists()


# --- Roles --------------------------------------------------------------------------------------------------------
def test_every_yaml_file_can_be_read():
    files = [*FOLDER.rglob("*.yml")]
    assert len(files) >= 6
    assert all(read(path) for path in files)


def test_every_playbook_has_a_role_with_a_typed_specification():
    for playbook in (FOLDER / "playbooks").glob("*.yml"):
        (play,) = read(playbook)
        for role in play["roles"]:
            options = read(FOLDER / "roles" / role["role"] / "meta" / "argument_specs.yml")["argument_specs"]["main"]
            assert options["short_description"]
            for name, option in walk(options["options"]):
                assert option.get("type"), f"{name} has no type"
                assert option.get("description"), f"{name} has no description"


def walk(options: dict):
    for name, option in options.items():
        yield name, option
        yield from walk(option.get("options", {}))


def test_passwords_are_kept_out_of_every_log():
    options = dict(walk(read(USERS / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]))
    assert options["password_hash"]["no_log"] is True
    for path in (USERS / "tasks").glob("*.yml"):
        for task in read(path):
            assert "password_hash" not in json.dumps(task) or task.get("no_log") is True, task["name"]


def test_no_task_goes_through_a_shell():
    for path in (FOLDER / "roles").rglob("tasks/*.yml"):
        for task in read(path):
            modules = [key for key in task if key.startswith("ansible.builtin.")]
            assert len(modules) == 1, task
            assert not re.search(r"\.(shell|command|raw|script)$", modules[0])


@needs_ansible
def test_ansible_accepts_the_playbooks(tmp_path):
    for playbook in sorted((FOLDER / "playbooks").glob("*.yml")):
        argv = ["ansible-playbook", "--syntax-check", "-i", "localhost,", str(playbook)]
        environment = os.environ | {"ANSIBLE_HOME": str(tmp_path)}
        done = subprocess.run(argv, cwd=FOLDER, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
