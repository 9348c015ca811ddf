"""Housekeeping is done by one process at a time, goes on after a failure, and remembers across restarts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from accounts import tenancy
from platform_site.lib.chores import Chore
from runs import chores as module
from runs.chores import chores_do
from runs.models import ChoreTurn

ROOT = Path(__file__).resolve().parents[2]
DO_CHORES = """
import sys, django
django.setup()
from platform_site.lib.chores import chores
from runs.chores import Chore, chores_do
def note():
    with open(sys.argv[1], "a") as log:
        log.write("done\\n")
chores.clear()
chores["tests.note"] = Chore("tests.note", 3600, note)
print("ready", flush=True)
sys.stdin.readline()
chores_do()
"""


@pytest.fixture
def registry(monkeypatch):
    """The chores of these tests instead of the product's."""
    known: dict[str, Chore] = {}
    monkeypatch.setattr(module, "chores", known)

    def add(name: str, do, every: float = 3600) -> None:
        known[name] = Chore(name, every, do)

    return add


def make_due(name: str) -> None:
    ChoreTurn.objects.filter(name=name).update(due_at=timezone.now() - timedelta(seconds=1))


def test_chore_is_done_at_once_and_then_when_it_is_due(db, registry):
    done = []
    registry("tests.count", lambda: done.append(1), every=60)
    chores_do()
    chores_do()
    assert len(done) == 1
    wait = ChoreTurn.objects.get(name="tests.count").due_at - timezone.now()
    assert timedelta(seconds=55) < wait <= timedelta(seconds=60)
    make_due("tests.count")
    chores_do()
    assert len(done) == 2


def test_chore_that_fails_stops_no_other_and_has_another_turn(db, registry):
    tried, done = [], []

    def fail() -> None:
        tried.append(1)
        raise ZeroDivisionError

    registry("tests.fails", fail)
    registry("tests.works", lambda: done.append(1))
    chores_do()
    assert (len(tried), len(done)) == (1, 1)
    make_due("tests.fails")
    chores_do()
    assert (len(tried), len(done)) == (2, 1)


def test_database_that_is_away_is_the_sweepers_business(db, registry):
    def fail() -> None:
        raise DatabaseError

    registry("tests.fails", fail)
    with pytest.raises(DatabaseError):
        chores_do()


def test_chore_sees_all_organisations_and_leaves_no_scope_open(db, registry, acme, globex):
    seen = []
    registry("tests.look", lambda: seen.append(tenancy.wall.get()))
    with tenancy.organisation_scope(acme.pk):
        chores_do()
        assert tenancy.current_organisation() == acme.pk
    assert seen == [None]


@pytest.mark.parametrize("is_known", [False, True], ids=["first turn ever", "due again"])
def test_threads_that_come_together_do_it_once(transactional_db, registry, is_known):
    done, together = [], threading.Barrier(8)
    if is_known:
        ChoreTurn.objects.create(name="tests.count", due_at=timezone.now() - timedelta(days=1))
    registry("tests.count", lambda: done.append(1))

    def worker(_number: int) -> None:
        together.wait()
        try:
            chores_do()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(worker, range(8)))
    assert done == [1]


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )


def start_process(log: Path) -> subprocess.Popen[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "platform_site.settings",
        "STEWARD_VAR_DIR": str(settings.STEWARD_VAR_DIR),
        "DATABASE_URL": database_url(),
        "LOG_LEVEL": "CRITICAL",
    }
    return subprocess.Popen(
        [sys.executable, "-c", DO_CHORES, str(log)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_do_it_once_and_a_restart_does_not_repeat_it(transactional_db, tmp_path):
    log = tmp_path / "log"
    together = [start_process(log), start_process(log)]
    assert [process.stdout.readline() for process in together] == ["ready\n"] * 2
    for process in together:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60) and process.returncode for process in together] == [0, 0]
    assert log.read_text() == "done\n"
    later = start_process(log)
    later.communicate("\n", timeout=60)
    assert (later.returncode, log.read_text()) == (0, "done\n")
    make_due("tests.note")
    due = start_process(log)
    due.communicate("\n", timeout=60)
    assert (due.returncode, log.read_text()) == (0, "done\ndone\n")
