"""Loaded by pytest before Django reads its settings: tests keep their secrets and files out of the data folder."""

import atexit
import os
import shutil
import tempfile

if "STEWARD_VAR_DIR" not in os.environ:
    folder = tempfile.mkdtemp(prefix="steward-tests-")
    os.environ["STEWARD_VAR_DIR"] = folder
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
os.environ.setdefault("LOG_LEVEL", "CRITICAL")

# Each parallel worker counts its rate limits in a Redis database of its own: tests clear theirs.
if os.environ.get("REDIS_URL") and (worker := os.environ.get("PYTEST_XDIST_WORKER", "")):
    server = os.environ["REDIS_URL"].rsplit("/", 1)[0]
    os.environ["REDIS_URL"] = f"{server}/{11 + int(worker.removeprefix('gw')) % 5}"
