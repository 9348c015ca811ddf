"""The log of a deployment, live and after its end."""

from __future__ import annotations

import pytest

from deployments import services
from deployments.logs import level_of
from deployments.tests.conftest import body_of, get, wait_for, wait_until
from tests.services import require_sandbox

TALKATIVE = """
import http.server, os
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
print("WARNING: disk nearly full", flush=True)
print("ValueError: bad \\x1b[31mcolour\\x1b[0m <img src=x onerror=alert(1)>", flush=True)
print("debug: 1", flush=True)
print("token sk-" + "a" * 30, flush=True)
print("no newline at the end", end="", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def ended(worker, generation, deploy, ask):
    """A deployment that said a few things and was stopped."""
    require_sandbox()
    files = {"server.py": TALKATIVE, "Procfile": "web: python server.py", "index.html": "hello"}
    live = wait_for(deploy(generation(files=files)), "live")
    assert get(live) == "hello"
    ask(services.deployment_stop, live)
    return wait_for(live, "stopped")


def texts(answer) -> list[str]:
    return [
        event["text"] for event in answer.json()["events"] if event["kind"] == "line" and event["stream"] == "stdout"
    ]


def test_log_stays_readable_searchable_and_clean_after_the_end(ended, alice_api):
    logs = f"/api/v1/deployments/{ended.pk}/logs"
    everything = alice_api.get(logs)
    assert texts(everything) == [
        "WARNING: disk nearly full",
        "ValueError: bad colour <img src=x onerror=alert(1)>",
        "debug: 1",
        "token [redacted]",
        "no newline at the end",
    ]
    assert [event["seq"] for event in everything.json()["events"]] == list(range(1, everything.json()["last_seq"] + 1))
    assert texts(alice_api.get(logs, {"q": "NEWLINE at"})) == ["no newline at the end"]
    assert texts(alice_api.get(logs, {"q": "(a+)+$"})) == []
    assert texts(alice_api.get(logs, {"level": "warning"})) == texts(everything)[:2]
    assert texts(alice_api.get(logs, {"level": "error"})) == texts(everything)[1:2]
    assert "debug: 1" not in texts(alice_api.get(logs, {"level": "info"}))


def test_log_is_read_in_pages_without_gaps(ended, alice_api):
    logs = f"/api/v1/deployments/{ended.pk}/logs"
    after, seen = 0, []
    while True:
        page = alice_api.get(logs, {"after": after, "limit": 3}).json()
        seen += [event["seq"] for event in page["events"]]
        after = page["next_after"]
        if after == page["last_seq"]:
            break
    assert seen == list(range(1, len(seen) + 1)) and len(seen) > 8


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1e3", "level=loud", "limit=0", "limit=1e9", "q=" + "x" * 201]
)
def test_questions_that_make_no_sense_are_refused(ended, alice_api, query):
    assert alice_api.get(f"/api/v1/deployments/{ended.pk}/logs?{query}").status_code == 400


def test_whole_log_is_downloaded_as_text(ended, alice_api):
    answer = alice_api.get(f"/api/v1/deployments/{ended.pk}/logs/download")
    assert answer["Content-Type"] == "text/plain; charset=utf-8" and "attachment" in answer["Content-Disposition"]
    lines = body_of(answer).splitlines()
    assert any(line.endswith("Z stdout WARNING: disk nearly full") for line in lines)
    assert any("Z state  live" in line for line in lines)


def test_log_is_streamed_from_where_the_reader_stopped(ended, alice_api):
    stream = f"/api/v1/deployments/{ended.pk}/logs/stream"
    everything = body_of(alice_api.get(stream, headers={"Accept": "text/event-stream"}))
    assert everything.count("WARNING: disk nearly full") == 1
    assert everything.rstrip().endswith('data: {"state": "cancelled"}')
    resumed = body_of(alice_api.get(stream, headers={"Accept": "text/event-stream", "Last-Event-ID": "5"}))
    assert '"seq":5,' not in resumed and '"seq":6,' in resumed


@pytest.mark.needs("sandbox")
def test_flood_of_output_is_kept_whole_and_the_page_about_it_is_bounded(worker, generation, deploy, ask, alice_api):
    server = TALKATIVE.replace(
        "http.server.HTTPServer", "for n in range(25_000): print('line', n)\nhttp.server.HTTPServer"
    )
    files = {"server.py": server, "Procfile": "web: python server.py"}
    live = wait_for(deploy(generation(files=files)), "live")
    logs = f"/api/v1/deployments/{live.pk}/logs"
    wait_until(lambda: alice_api.get(logs, {"after": 24_000, "q": "line 24999"}).json()["events"])
    page = alice_api.get(logs, {"q": "line 24999"}).json()
    assert page["events"] == [] and page["next_after"] == 20_000  # searched so far; the next page goes on
    assert len(texts(alice_api.get(logs, {"after": page["next_after"], "q": "line 24999"}))) == 1


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('127.0.0.1 - - "GET /errors HTTP/1.1" 200 -', "info"),
        ("Traceback (most recent call last):", "error"),
        ("KeyError: 'name'", "error"),
        ("[warn] slow", "warning"),
        ("terror", "info"),
        ("DEBUG x", "debug"),
    ],
)
def test_level_is_read_from_the_line(text, level):
    assert level_of({"kind": "line", "text": text}) == level
