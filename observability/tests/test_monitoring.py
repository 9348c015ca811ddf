"""Alerts and dashboard name only metrics that exist; the operations files can be read; a backup comes back."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from observability import metrics

OPS = Path(__file__).resolve().parents[2] / "ops"
MONITORING = OPS / "monitoring"
BACKUP = OPS / "backup" / "backup.sh"


def rules() -> list[dict]:
    (group,) = yaml.safe_load((MONITORING / "prometheus" / "steward.rules.yml").read_text())["groups"]
    return group["rules"]


def panels() -> list[dict]:
    return json.loads((MONITORING / "grafana" / "steward.json").read_text())["panels"]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def known() -> dict[str, set[str]]:
    """The labels of every series that the platform can export, by its name."""
    declared = {}
    for metric in vars(metrics).values():
        for family in metric.collect() if hasattr(metric, "_labelnames") else ():
            for suffix in {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[
                family.type
            ]:
                declared[family.name + suffix] = {*metric._labelnames, "le"}
    return declared


def test_the_registry_is_the_one_that_is_exported():
    assert REGISTRY._names_to_collectors["http_requests_total"] is metrics.HTTP_REQUESTS


@pytest.mark.parametrize("expression", expressions())
def test_every_expression_asks_for_series_and_labels_that_exist(expression):
    series = known()
    names = set(re.findall(r"\b(?:http|steward)_[a-z_]+\b", expression))
    assert names <= set(series), names - set(series)
    labels = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
    labels |= set(re.findall(r"([a-z]+)(?==~?\")", expression)) - {"job"}
    for label in labels:
        assert any(label in series[name] for name in names), label


def test_alerts_say_what_happened_and_how_bad_it_is():
    assert len({rule["alert"] for rule in rules()}) == len(rules()) >= 5
    for rule in rules():
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_prometheus_loads_the_rules_that_are_there():
    config = yaml.safe_load((MONITORING / "prometheus" / "prometheus.yml").read_text())
    assert all((MONITORING / "prometheus" / name).is_file() for name in config["rule_files"])
    assert config["scrape_configs"][0]["metrics_path"] == "/metrics"
    assert config["scrape_configs"][0]["job_name"] == "steward"


def test_panels_do_not_lie_on_each_other():
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places)


def test_every_manifest_can_be_read():
    files = [*OPS.rglob("*.yaml"), OPS.parent / "compose.yaml"]
    documents = [document for path in files for document in yaml.safe_load_all(path.read_text())]
    assert {"Deployment", "Service", "Kustomization", "GitRepository"} <= {d.get("kind") for d in documents}


def backup(*arguments: object, var: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "STEWARD_VAR_DIR": str(var)}
    argv = [str(BACKUP), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment)


def test_a_backup_taken_while_rows_are_written_comes_back_whole(tmp_path):
    var = tmp_path / "var"
    (var / "secrets").mkdir(parents=True)
    (var / "secrets" / "secret_key").write_text("s3cret")
    with sqlite3.connect(var / "steward.sqlite3") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE rows (n INTEGER)")
        database.executemany("INSERT INTO rows VALUES (?)", [(n,) for n in range(1000)])
        database.commit()
        saved = backup("save", tmp_path / "kept", var=var)
    assert saved.returncode == 0, saved.stderr
    folder = Path(saved.stdout.strip())
    fresh = tmp_path / "fresh"
    assert backup("restore", folder, var=fresh).returncode == 0
    with sqlite3.connect(fresh / "steward.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM rows").fetchone() == (1000,)
    assert (fresh / "secrets" / "secret_key").read_text() == "s3cret"
    assert "Move it away" in backup("restore", folder, var=fresh).stderr
    (folder / "steward.sqlite3").write_bytes(b"damaged")
    assert "nothing was changed" in backup("restore", folder, var=tmp_path / "third").stderr
    assert not (tmp_path / "third").exists()
