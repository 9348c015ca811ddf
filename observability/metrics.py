"""The platform's own Prometheus metrics. Every metric is declared here; the rooms above count into them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter("http_requests_total", "HTTP requests answered", ["method", "route", "status"])
HTTP_DURATION = Histogram("http_request_duration_seconds", "Time to answer an HTTP request", ["method", "route"])
RUNS_FINISHED = Counter("steward_runs_finished_total", "Runs that ended", ["kind", "state"])
RUNS_ACTIVE = Gauge("steward_runs_active", "Runs executing in this process", ["kind"])
RUN_WAIT = Histogram("steward_run_wait_seconds", "Time from enqueueing a run to its start", ["kind"])
EVENTS_WRITTEN = Counter("steward_events_written_total", "Events stored", ["kind"])
STREAM_VIEWERS = Gauge("steward_stream_viewers", "Open event streams and sockets in this process")
MODEL_TOKENS = Counter(
    "steward_model_tokens_total", "Tokens sent to and received from models", ["provider", "direction"]
)
MODEL_CALLS = Counter("steward_model_calls_total", "Calls to model providers", ["provider", "outcome"])
