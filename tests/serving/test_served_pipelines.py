"""One server and the pipelines of its home: each below /pipelines/NAME/, and no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from conf.settings import Settings
from serving.api import pipelines as switch
from sinks.documents.generations import Generations
from sinks.keys import pipeline_pattern
from tests.serving.pipelines import RULES, fill, served
from wetstream.pipeline.serve import HomePipelines

MakeSettings = Callable[..., Settings]


@pytest.fixture
def names(make_settings: MakeSettings, redis_client: Redis) -> Iterator[Callable[[str], str]]:
    """Makes names of pipelines of the test's own, and deletes what they leave in Redis."""
    own, used = make_settings().pipeline, set()

    def make(name: str) -> str:
        used.add(f"{own}-{name}")
        return f"{own}-{name}"

    yield make
    for name in used:
        for key in redis_client.scan_iter(pipeline_pattern(name)):
            redis_client.delete(key)


def test_a_server_shows_the_pipelines_of_its_home_and_no_other(
    make_settings: MakeSettings, names: Callable[[str], str], redis_client: Redis, tmp_path: Path
) -> None:
    one, two, lost, elsewhere = (make_settings(pipeline=names(name)) for name in ("one", "two", "lost", "elsewhere"))
    for records, settings in ((1, one), (2, two), (3, lost)):
        fill(settings, redis_client, records)
    fill(elsewhere, redis_client, 4, tmp_path / "another-home")  # in the same Redis
    for key in redis_client.scan_iter(pipeline_pattern(lost.pipeline)):
        redis_client.delete(key)
    # Of the same name as one of another home, which is the one that Redis has counted.
    Generations.of(elsewhere).open_or_create(RULES)
    with served(one) as http:
        assert http.get("/api/v1/pipelines").json() == {
            "pipelines": [one.pipeline, two.pipeline],
            "current": one.pipeline,
            "at_root": one.pipeline,
        }
        assert http.get("/api/v1/stats").json()["records"] == 1
        below = f"/pipelines/{two.pipeline}"
        assert http.get(f"{below}/api/v1/stats").json()["records"] == 2
        assert http.get(f"{below}/api/v1/pipelines").json()["current"] == two.pipeline
        assert http.get(f"{below}/api/v1/hosts").json()["hosts"][0]["pages"] == 1
        assert f'pipeline="{two.pipeline}"' in http.get(f"{below}/metrics").text
        assert http.get(f"{below}/ready").status_code == 200
        page = http.get(f"{below}/")
        assert page.text == http.get("/").text and "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        for name in (lost.pipeline, elsewhere.pipeline, "%2e%2e", f"{two.pipeline}%2f..", "", "nothing"):
            assert http.get(f"/pipelines/{name}/api/v1/stats").status_code == 404, name
        assert http.get(f"{below}/pipelines/{one.pipeline}/api/v1/stats").status_code == 404  # they do not nest
        with http.stream("GET", f"{below}/api/v1/events") as events:
            assert next(line for line in events.iter_lines() if line.startswith("data: "))
            # The server ends at once, although somebody listens: `served` asserts it.


def test_a_token_is_asked_for_before_any_name_is_looked_at(
    make_settings: MakeSettings, names: Callable[[str], str], redis_client: Redis
) -> None:
    token = "0123456789abcdef"
    one, two = (make_settings(pipeline=names(name), serve__token=token) for name in ("one", "two"))
    for settings in (one, two):
        fill(settings, redis_client, 1)
    with served(one) as http:
        for name in (two.pipeline, "nothing"):
            assert http.get(f"/pipelines/{name}/api/v1/stats").status_code == 401
        assert http.get("/api/v1/pipelines").status_code == 401
        allowed = http.get(f"/pipelines/{two.pipeline}/api/v1/stats", headers={"Authorization": f"Bearer {token}"})
        assert allowed.json()["records"] == 1


def test_the_longest_unused_pipeline_makes_room(
    make_settings: MakeSettings, names: Callable[[str], str], redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "MAX_OPEN", 1)
    one, two, three = (make_settings(pipeline=names(name)) for name in ("one", "two", "three"))
    for records, settings in ((1, one), (2, two), (3, three)):
        fill(settings, redis_client, records)
    with served(one) as http:

        def records(settings: Settings) -> int:
            return int(http.get(f"/pipelines/{settings.pipeline}/api/v1/stats").json()["records"])

        assert [records(two), records(three), records(two)] == [2, 3, 2]
        with http.stream("GET", f"/pipelines/{two.pipeline}/api/v1/events") as events:
            lines = events.iter_lines()
            next(lines)
            full = http.get(f"/pipelines/{three.pipeline}/api/v1/stats")
            assert full.status_code == 503 and "close a page" in full.json()["message"]
    for thread in threading.enumerate():
        if thread.name.startswith("wetstream: "):
            thread.join(20)
            assert not thread.is_alive(), f"{thread.name} was left behind"


def test_without_redis_the_server_knows_its_own_pipeline(make_settings: MakeSettings) -> None:
    settings = make_settings(redis__url="redis://127.0.0.1:1/0")
    assert HomePipelines(settings).names() == [settings.pipeline]
