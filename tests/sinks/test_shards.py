"""Words in shards: the same numbers, each micro-batch once, whatever is killed and whichever shard is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from redis import Redis

from serving.queries import LiveStatistics
from serving.verify.verify import verify
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generation
from sinks.documents.schema import DOCUMENTS
from sinks.documents.table import Documents
from sinks.keys import Keys, build_prefix, pipeline_pattern, shards_pattern
from sinks.removal import remove_records
from sinks.statistics.builds import StatisticsBuilds
from sinks.statistics.errors import NotInStepError
from sinks.statistics.shards import shard_of
from sinks.statistics.store import Statistics
from sinks.storage.folder import Folder
from tests.sinks.batches import held, row, sums_of

NAME = "shards"
SHARDS = 3
VOCABULARY = [f"word{n}" for n in range(40)]
CRASH_AT = ("sinks.statistics.commit.crash_point", "sinks.statistics.store.crash_point")


class Killed(BaseException):
    """The process is killed."""


@pytest.fixture
def client(redis_client: Redis) -> Iterator[Redis]:
    for pattern in (pipeline_pattern(NAME), shards_pattern(NAME)):
        for key in redis_client.scan_iter(pattern):
            redis_client.delete(key)
    yield redis_client


def builds_of(client: Redis, shards: int = SHARDS) -> StatisticsBuilds:
    return StatisticsBuilds(client, NAME, chunk_words=3, top_words=7, word_shards=shards)


def rows_from(first: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    bags = [{word: chance.randint(1, 9) for word in chance.sample(VOCABULARY, 6)} for _ in range(8)]
    return [row(first + n, bag, source="ab"[n % 2]) for n, bag in enumerate(bags)]


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    table = Documents.create(Folder(tmp_path / "g1"), {"profile": "p21"})
    table.bind_topic("records", "id", 1)
    add(table, 0)
    return table


def add(documents: Documents, first: int) -> None:
    rows = pa.Table.from_pylist(rows_from(first, first), schema=DOCUMENTS)
    file = write_document_file(documents.location, rows, compression_level=1)
    documents.commit([file], {"id/0": first + len(rows)})


def catch_up(client: Redis, documents: Documents, shards: int = SHARDS) -> Statistics:
    return builds_of(client, shards).catch_up(Generation("g1", documents), documents.position())


def assert_right(client: Redis, documents: Documents) -> None:
    result = verify(client, NAME, documents)
    assert result.ok, result.differences


def test_every_question_has_the_same_answer_with_and_without_shards(client: Redis, documents: Documents) -> None:
    add(documents, 8)
    answers = []
    live = LiveStatistics(client, NAME)
    for shards in (SHARDS, 1):
        builds_of(client, shards).rebuild(Generation("g1", documents), documents.position())
        assert_right(client, documents)
        answer = [live.top(7), live.words([*VOCABULARY, "unseen"]), live.stats()]
        answers.append([{**part, "as_of": None} for part in answer])
        answers[-1].append(live.vocabulary().to_pydict())
    assert answers[0] == answers[1]


def test_words_are_where_their_hash_says(client: Redis, documents: Documents) -> None:
    keys = catch_up(client, documents).keys
    held = [client.hkeys(shard.words) for shard in keys.shards]
    assert all(held)
    assert all(shard_of(word, SHARDS) == number for number, words in enumerate(held) for word in words)
    assert shard_of(b"climate", 16) == 7, "a stored contract"


def crash_after(monkeypatch: pytest.MonkeyPatch, points: int) -> None:
    left = iter(range(points))

    def crash(name: str) -> None:
        if next(left, None) is None:
            raise Killed(name)

    for place in CRASH_AT:
        monkeypatch.setattr(place, crash)


def test_killed_anywhere_it_goes_on(client: Redis, documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, points, first = catch_up(client, documents).keys, 0, 8
    done = False
    while not done:
        add(documents, first)
        crash_after(monkeypatch, points)
        try:
            catch_up(client, documents)
            done = True
        except Killed:
            points += 1
        monkeypatch.undo()
        if points % 2:  # the table is also ahead of the half-applied micro-batch
            first += 8
            add(documents, first)
        assert catch_up(client, documents).keys == keys, "gone on with, not counted again"
        if done or points % 8 == 0:
            assert_right(client, documents)
        first += 8
    assert points > 2 * SHARDS


def test_a_stalled_writer_changes_nothing(client: Redis, documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = catch_up(client, documents)
    start = dict(documents.position())
    add(documents, 8)
    finish, sums = dict(documents.position()), sums_of(rows_from(8, 8))
    crash_after(monkeypatch, 6)
    with pytest.raises(Killed):
        statistics.commit(sums, start, finish)
    monkeypatch.undo()
    catch_up(client, documents)  # another writer
    before = held_by_shards(client, statistics.keys)
    statistics.commit(sums, start, finish)  # the first one wakes up
    assert held_by_shards(client, statistics.keys) == before
    add(documents, 16)
    catch_up(client, documents)
    with pytest.raises(NotInStepError):
        statistics.commit(sums, start, finish)
    assert_right(client, documents)


def held_by_shards(client: Redis, keys: Keys) -> list[dict[str, Any]]:
    return [held(client, part) for part in (keys, *keys.shards)]


@pytest.mark.parametrize("loss", ["gone", "behind", "build behind"])
def test_a_shard_that_was_lost_is_counted_again(client: Redis, documents: Documents, loss: str) -> None:
    keys = catch_up(client, documents).keys
    lost = keys if loss == "build behind" else keys.shards[1]
    dumps = {key: dump for key in lost.all() if (dump := client.dump(key)) is not None}
    add(documents, 8)
    catch_up(client, documents)
    client.delete(*lost.all())
    if loss != "gone":
        for key, dump in dumps.items():
            client.restore(key, 0, dump)
    assert catch_up(client, documents).keys != keys
    assert_right(client, documents)
    assert all(0 < client.ttl(shard.words) <= 60 for shard in keys.shards if client.exists(shard.words))


def test_a_removal_leaves_what_was_never_there(client: Redis, documents: Documents) -> None:
    add(documents, 8)
    statistics = catch_up(client, documents)
    removed = remove_records(documents, statistics, {"a": (0, 1_000)}, compression_level=1)
    assert removed == 8
    assert_right(client, documents)
    assert LiveStatistics(client, NAME).top(7)["words"]
    assert catch_up(client, documents).keys == statistics.keys


def test_a_pipeline_keeps_its_shards_until_it_is_rebuilt(client: Redis, documents: Documents) -> None:
    keys = catch_up(client, documents, 1).keys
    add(documents, 8)
    assert catch_up(client, documents, SHARDS).keys == keys
    builds_of(client).rebuild(Generation("g1", documents), documents.position())
    assert len(catch_up(client, documents, 1).keys.shards) == SHARDS
    assert_right(client, documents)
    assert Keys(build_prefix(NAME, "g1", 7)).shards == []


def test_all_shards_of_all_builds_are_deleted(client: Redis, documents: Documents) -> None:
    builds = builds_of(client)
    for name in ("g1", "g2"):
        builds.rebuild(Generation(name, documents), documents.position(), live=name == "g1")
    assert list(client.scan_iter(shards_pattern(NAME)))
    builds.delete_shards()
    assert list(client.scan_iter(shards_pattern(NAME))) == []
