"""Rate limits: one counter for pages and API, exact under competition, honest about the wait, and never off."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory
from redis.exceptions import ConnectionError as RedisGone

from platform_site.env import BASE_DIR
from platform_site.lib import cache as shared
from platform_site.lib.errors import RateLimited
from platform_site.lib.ratelimit import caller_of, count, network_of, page_limit, refuse_over
from tests.services import require_service

NAME = json.dumps({"name": "New"})


def patch(client, **headers):
    return client.patch("/api/v1/users/me", {"name": "New"}, format="json", headers=headers)


@pytest.fixture
def few_writes(settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"writes": "3/min"}


# --- Everything that changes something ----------------------------------------------------------------------------
def test_writes_of_a_user_count_together_whatever_the_door(few_writes, alice_api, alice_pages, bob_api):
    assert [patch(alice_api).status_code for _ in range(2)] == [200, 200]
    assert alice_pages.post("/organisation/switch", {"organisation": "x"}).status_code == 404
    refused = patch(alice_api)
    assert refused.status_code == 429
    assert refused.json()["error"] == "Too many requests"
    assert 1 <= int(refused["Retry-After"]) <= 60
    page = alice_pages.post("/organisation/switch", {"organisation": "x"})
    assert page.status_code == 429
    assert page["Content-Type"].startswith("text/html")
    assert 1 <= int(page["Retry-After"]) <= 60
    assert patch(bob_api).status_code == 200, "another user's count is another one's"


def test_reading_is_not_counted(few_writes, alice_api, alice_pages):
    for _ in range(10):
        assert alice_api.get("/api/v1/users/me").status_code == 200
        assert alice_pages.get("/runs").status_code == 200


def test_every_view_of_the_api_counts_writes(settings):
    from platform_site.lib.ratelimit import WriteThrottle
    from tests.architecture.routes import http_routes

    free = {
        route
        for route, pattern in http_routes().items()
        if (view := getattr(pattern.callback, "cls", None))
        and not any(issubclass(throttle, WriteThrottle) for throttle in view.throttle_classes)
    }
    assert free == {"api/v1/heartbeat", "api/v1/appliance/<uuid:appliance_id>/config"}, "devices, by their own key"


def test_strangers_count_by_their_network(few_writes, client):
    for _ in range(3):
        client.post("/sign-out")
    assert client.post("/sign-out").status_code == 429
    assert Client(REMOTE_ADDR="198.51.100.7").post("/sign-out").status_code == 302


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("garbage", "unknown"),
        ("192.0.2.7:80", "unknown"),
        ("' OR 1=1", "unknown"),
    ],
)
def test_networks(address, network):
    assert network_of(address) == network


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["", "garbage", "1.2.3.4, 5.6.7.8", "::ffff:1.2.3.4", "x" * 5000])
def test_an_address_that_is_none_breaks_nothing(address):
    client = Client(REMOTE_ADDR=address, raise_request_exception=False)
    assert client.get("/sign-in").status_code == 200
    assert client.post("/sign-in", {"email": "a@b.example", "password": "x"}).status_code == 400
    answer = client.post("/api/v1/auth/login", {"email": "a@b.example", "password": "x"}, "application/json")
    assert answer.status_code == 401


# --- Counting -----------------------------------------------------------------------------------------------------
def test_the_limit_is_exact_among_threads():
    allowed, together = [], threading.Barrier(8)

    def hammer() -> None:
        together.wait()
        allowed.extend(not count("test", "key", "50/h").is_over for _ in range(25))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(allowed), sum(allowed)) == (200, 50)


def test_group_and_key_do_not_run_into_each_other():
    assert count("ab", "c", "9/h").count == 1
    assert count("a", "bc", "9/h").count == 1


def test_looking_does_not_count():
    assert [count("test", "key", "2/h", increment=False).count for _ in range(3)] == [0, 0, 0]
    assert not count("test", "key", "2/h").is_spent
    assert count("test", "key", "2/h").is_spent


def test_refusing_says_when_to_come_back():
    refuse_over("test", "key", "1/15m")
    with pytest.raises(RateLimited) as refused:
        refuse_over("test", "key", "1/15m")
    assert 1 <= refused.value.retry_after <= 900


def test_a_page_can_have_a_limit_of_its_own(alice):
    view = page_limit("test", "1/m", key="user_or_ip")(lambda request: HttpResponse("ok"))
    request = RequestFactory().post("/")
    request.user = alice
    assert caller_of(request) == f"user {alice.pk}"
    assert view(request).status_code == 200
    with pytest.raises(RateLimited):
        view(request)
    reading = RequestFactory().get("/")
    reading.user = alice
    assert view(reading).status_code == 200


def test_a_memory_cache_has_room_for_many_counters(settings):
    if settings.REDIS_URL:
        pytest.skip("the counters are in Redis")
    assert count("test", "mine", "5/h").count == 1
    for number in range(2_000):
        count("test", f"other {number}", "5/h")
    assert count("test", "mine", "5/h").count == 2, "others cannot push it out"


# --- Redis --------------------------------------------------------------------------------------------------------
HAMMER = """
import django, sys
django.setup()
from platform_site.lib.ratelimit import count
sys.stdin.readline()
print(sum(not count("hammer", "key", "500/h").is_over for _ in range(400)))
"""


def process(**environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HAMMER],
        cwd=BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "platform_site.settings", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.service
def test_the_limit_is_exact_among_processes():
    import redis

    url = require_service("redis").rsplit("/", 1)[0] + "/8"
    redis.Redis.from_url(url).flushdb()
    processes = [process(REDIS_URL=url) for _ in range(4)]
    for one in processes:
        one.stdin.write("go\n")
        one.stdin.flush()
    allowed = [int(one.communicate(timeout=60)[0]) for one in processes]
    assert sum(allowed) == 500, allowed


@pytest.fixture
def redis_cache(monkeypatch):
    """A shared cache whose Redis is nowhere."""
    monkeypatch.setattr(shared, "_absence", shared._Absence())
    monkeypatch.setattr(shared, "_clients", {})
    gone = shared.SharedCache("redis://127.0.0.1:1/0", {})
    gone._stand_in.clear()
    return gone


def test_without_redis_each_process_counts_for_itself_and_says_so_once(redis_cache, monkeypatch, caplog):
    monkeypatch.setattr("django_ratelimit.core.caches", {"default": redis_cache})
    with caplog.at_level(logging.WARNING, "platform_site.lib.cache"):
        assert [count("test", "key", "2/h").is_over for _ in range(4)] == [False, False, True, True]
    assert len(caplog.records) == 1
    assert "this process counts for itself" in caplog.text


def test_while_redis_is_away_it_is_asked_only_now_and_then(redis_cache, monkeypatch):
    asked = []

    def refuse(*_):
        asked.append(1)
        raise RedisGone

    monkeypatch.setattr(shared.RedisCacheClient, "add", refuse)
    for _ in range(10):
        redis_cache.add("key", 1)
    assert len(asked) == 1
    shared._absence.until = 0.0
    redis_cache.add("key", 1)
    assert len(asked) == 2


def test_a_counter_that_redis_lost_begins_again_in_memory(redis_cache):
    assert redis_cache.incr("key") == 1
    assert redis_cache.incr("key") == 2
    redis_cache.set("other", "value")
    assert redis_cache.get("other") == "value"
    assert redis_cache.delete("other")
    assert redis_cache.get("other") is None


@pytest.mark.django_db
def test_without_redis_requests_are_answered_and_limited(redis_cache, monkeypatch, few_writes, client):
    monkeypatch.setattr("django_ratelimit.core.caches", {"default": redis_cache})
    assert [client.post("/sign-out").status_code for _ in range(4)] == [302, 302, 302, 429]


@pytest.mark.service
def test_redis_counts_with_an_end(settings):
    if not settings.REDIS_URL:
        pytest.skip("set REDIS_URL")
    count("test", "key", "5/h")
    client = cache._cache.get_client()
    assert all(0 < client.ttl(key) <= 3605 for key in client.scan_iter("*rl:*"))
