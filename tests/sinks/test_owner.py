"""Statistics belong to the documents that they were counted from: other ones of the same name never replace them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from redis import Redis

from conf.profiles import Rules
from serving.verify.verify import verify
from sinks.documents.files import write_document_file
from sinks.documents.generations import Generation, Generations
from sinks.documents.schema import DOCUMENTS
from sinks.keys import generations_key, pipeline_pattern
from sinks.statistics.builds import StatisticsBuilds
from sinks.statistics.errors import CorruptStatisticsError, OtherDocumentsError
from sinks.statistics.store import Statistics
from tests.sinks.batches import row

RULES = Rules("p21", "hash")
ROWS = [row(0, {"alpha": 2, "beta": 1}), row(1, {"alpha": 1})]


class Homes:
    """Folders with documents of one pipeline name, and one Redis."""

    def __init__(self, client: Redis, folder: Path, pipeline: str) -> None:
        self.client = client
        self.folder = folder
        self.pipeline = pipeline

    def generations(self, home: str) -> Generations:
        return Generations(self.folder / home, self.pipeline)

    def start(self, home: str, replace: str = "") -> Statistics:
        """What the start of a stream does."""
        self.builds(replace).check_owner(self.generations(home))
        generation = self.generations(home).open_or_create(RULES)
        return self.builds(replace).catch_up(generation, generation.documents.position())

    def rebuild(self, home: str, replace: str = "") -> Statistics:
        generation = self.generations(home).open_or_create(RULES)
        return self.builds(replace).rebuild(generation, generation.documents.position())

    def builds(self, replace: str = "") -> StatisticsBuilds:
        return StatisticsBuilds(self.client, self.pipeline, chunk_words=3, top_words=5, replace=replace)

    def fill(self, home: str, rows: list[dict[str, Any]] = ROWS) -> Generation:
        """Commit rows to the live generation of a home."""
        generation = self.generations(home).open_or_create(RULES)
        documents = generation.documents
        documents.bind_topic("records", "id", 1)
        file = write_document_file(
            documents.location, pa.Table.from_pylist(rows, schema=DOCUMENTS), compression_level=1
        )
        documents.commit([file], {"id/0": rows[-1]["topic_offset"] + 1})
        return generation

    def dump(self) -> dict[bytes, Any]:
        """Everything that Redis holds of the pipeline, but for times to live."""
        read = {
            b"string": self.client.get,
            b"set": self.client.smembers,
            b"hash": self.client.hgetall,
            b"zset": lambda key: self.client.zrange(key, 0, -1, withscores=True),
        }
        return {key: read[self.client.type(key)](key) for key in self.client.scan_iter(pipeline_pattern(self.pipeline))}

    def assert_right(self, home: str) -> None:
        generation = self.generations(home).open_live()
        assert generation is not None
        result = verify(self.client, self.pipeline, generation.documents)
        assert result.ok, result.differences


@pytest.fixture
def homes(redis_client: Redis, tmp_path: Path, request: pytest.FixtureRequest) -> Homes:
    for key in redis_client.scan_iter(pipeline_pattern(request.node.name)):
        redis_client.delete(key)
    homes = Homes(redis_client, tmp_path, request.node.name)
    homes.fill("home")
    homes.start("home")
    return homes


@pytest.mark.parametrize("documents", ["none", "other", "more"])
def test_other_documents_of_the_same_name_are_refused_and_change_nothing(homes: Homes, documents: str) -> None:
    if documents != "none":
        homes.fill("elsewhere", ROWS[:1] if documents == "other" else [*ROWS, row(2, {"gamma": 1})])
    before = homes.dump()
    with pytest.raises(OtherDocumentsError, match=r"home/.*elsewhere.*documents\.path.*redis\.replace_statistics=\w+"):
        homes.start("elsewhere")
    assert homes.dump() == before
    assert homes.generations("elsewhere").names() == ([] if documents == "none" else ["g1"]), "nothing was created"
    homes.assert_right("home")


def test_a_rebuild_with_other_documents_is_refused(homes: Homes) -> None:
    homes.fill("elsewhere", ROWS[:1])
    before = homes.dump()
    with pytest.raises(OtherDocumentsError, match="replace_statistics"):
        homes.rebuild("elsewhere")
    assert homes.dump() == before


def test_statistics_are_replaced_where_their_id_is_named(homes: Homes) -> None:
    homes.fill("elsewhere", ROWS[:1])
    live = homes.generations("home").open_live()
    assert live is not None
    with pytest.raises(OtherDocumentsError):
        homes.start("elsewhere", replace="another")
    homes.start("elsewhere", replace=live.documents.pipeline_id)
    homes.assert_right("elsewhere")
    with pytest.raises(OtherDocumentsError, match="elsewhere"):
        homes.start("home")


def test_killed_replacement_changes_nothing_and_can_be_repeated(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    homes.fill("elsewhere", ROWS[:1])
    live = homes.generations("home").open_live()
    assert live is not None

    def crash(point: str) -> None:
        if point == "during-rebuild":
            raise KeyboardInterrupt

    monkeypatch.setattr("sinks.statistics.builds.crash_point", crash)
    with pytest.raises(KeyboardInterrupt):
        homes.start("elsewhere", replace=live.documents.pipeline_id)
    monkeypatch.undo()
    homes.assert_right("home")
    with pytest.raises(OtherDocumentsError):
        homes.start("elsewhere")
    homes.start("elsewhere", replace=live.documents.pipeline_id)
    homes.assert_right("elsewhere")


def test_documents_that_were_moved_keep_their_statistics(homes: Homes) -> None:
    before = homes.start("home")
    shutil.move(homes.folder / "home", homes.folder / "moved")
    assert homes.start("moved").keys == before.keys, "nothing was counted again"
    homes.fill("elsewhere")
    with pytest.raises(OtherDocumentsError, match="moved"):
        homes.start("elsewhere")


def test_an_older_backup_of_the_same_documents_is_counted(homes: Homes) -> None:
    shutil.copytree(homes.folder / "home", homes.folder / "backup")
    homes.fill("home", [row(2, {"gamma": 1})])
    homes.start("home")
    shutil.rmtree(homes.folder / "home")
    shutil.move(homes.folder / "backup", homes.folder / "home")
    homes.start("home")
    homes.assert_right("home")


def test_backup_taken_before_a_switch_is_recounted(homes: Homes) -> None:
    """The statistics are those of a generation that the backup does not know."""
    shutil.copytree(homes.folder / "home", homes.folder / "backup")
    generations = homes.generations("home")
    second = generations.create_next(RULES)
    homes.builds().catch_up(second, second.documents.position(), live=False)
    generations.point_to(second.name)
    homes.start("home")
    generations.drop("g1")
    homes.builds().forget("g1")
    shutil.rmtree(homes.folder / "home")
    shutil.move(homes.folder / "backup", homes.folder / "home")
    homes.start("home")
    homes.assert_right("home")


def test_a_generation_that_was_dropped_and_created_again_is_counted_again(homes: Homes) -> None:
    generations = homes.generations("home")
    second = generations.create_next(RULES)
    stale = homes.builds().catch_up(second, second.documents.position(), live=False)
    generations.drop("g2")  # killed before its statistics were forgotten
    second = generations.create_next(RULES)
    assert homes.builds().catch_up(second, second.documents.position(), live=False).keys != stale.keys


def test_statistics_of_other_rules_are_counted_again(homes: Homes) -> None:
    before = homes.start("home")
    homes.client.hset(before.keys.as_of, "rules_hash", "other")
    assert homes.start("home").keys != before.keys
    homes.assert_right("home")


def test_lost_statistics_have_no_owner(homes: Homes) -> None:
    """Redis was emptied but for the name of the build."""
    homes.client.delete(*homes.start("home").keys.all())
    homes.start("home")
    homes.assert_right("home")


def test_statistics_without_an_owner_are_not_touched_before_a_rebuild(homes: Homes) -> None:
    statistics = homes.start("home")
    homes.client.delete(statistics.keys.as_of)
    with pytest.raises(CorruptStatisticsError, match=r"as_of does not say which documents.*wetstream rebuild"):
        homes.start("home")
    homes.rebuild("home")
    homes.assert_right("home")


def test_the_generations_of_replaced_documents_are_forgotten(homes: Homes) -> None:
    second = homes.generations("home").create_next(RULES)
    homes.builds().catch_up(second, second.documents.position(), live=False)
    homes.fill("elsewhere")
    homes.start("elsewhere", replace=second.documents.pipeline_id)
    assert homes.client.hkeys(generations_key(homes.pipeline)) == [b"g1"]
