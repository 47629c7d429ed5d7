"""Stable word ids: append-only, the same in every export, whoever is killed and whoever writes at the same time."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from serving.export.export import ExportError, ExportOptions, export
from serving.export.word_ids import WordIds, WordIdsError
from serving.view import View
from sinks.storage.folder import Folder
from tests.export import corpora
from tests.export.corpora import SOURCES


class Killed(BaseException):
    """The process is killed."""


def words_of(*words: str) -> pa.Array:
    return pa.array([word.encode() for word in words], pa.binary())


def ids_of(folder: Path) -> list[str]:
    return [word.decode() for word in WordIds(Folder(folder)).words().to_pylist()]


def test_ids_stay_through_kills_and_rivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 random kills, and threads that append at the same time: the list only grows, without gap or double."""
    chance = random.Random(7)
    folder = tmp_path / "ids"
    kills = 0

    def crash(name: str) -> None:
        nonlocal kills
        if kills < 30 and chance.random() < 0.5:
            kills += 1
            raise Killed

    monkeypatch.setattr("serving.export.word_ids.crash_point", crash)

    def work(seed: int) -> None:
        mine = random.Random(seed)
        for _ in range(20):
            wanted = sorted({f"w{mine.randrange(200)}" for _ in range(8)})
            try:
                WordIds(Folder(folder)).assign(words_of(*wanted))
            except Killed:
                continue

    for round_number in range(4):
        before = ids_of(folder)
        threads = [threading.Thread(target=work, args=(10 * round_number + n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = ids_of(folder)
        assert after[: len(before)] == before and len(set(after)) == len(after)
    assert kills == 30 and len(ids_of(folder)) > 100


def test_a_rival_that_takes_the_next_number_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words, of which one is ours too, have ids then; ours come behind them."""
    rivals = [words_of("b", "x")]

    def rival(name: str) -> None:
        if name == "before-word-ids" and rivals:
            WordIds(Folder(tmp_path)).assign(rivals.pop())

    monkeypatch.setattr("serving.export.word_ids.crash_point", rival)
    assigned = WordIds(Folder(tmp_path)).assign(words_of("a", "b", "c"))
    assert [word.decode() for word in assigned.to_pylist()] == ids_of(tmp_path) == ["b", "x", "a", "c"]


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_list_is_named(tmp_path: Path, damage: str) -> None:
    ids = WordIds(Folder(tmp_path))
    ids.assign(words_of("a"))
    ids.assign(words_of("b", "c"))
    ids.assign(words_of("d"))
    file = tmp_path / "00000001.parquet"
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        (tmp_path / "00000002.parquet").write_bytes(file.read_bytes())
    with pytest.raises(WordIdsError, match=r"0000000[12]\.parquet is missing or damaged"):
        ids.assign(words_of("e"))


def bags(folder: Path) -> list[dict[str, int]]:
    """The documents of an export as words, by its own vocabulary."""
    vocabulary = (folder / "vocab.txt").read_text("utf-8").splitlines()
    lines = [line.split()[1:] for line in (folder / "corpus.ldac").read_text().splitlines()]
    pairs = [[entry.split(":") for entry in line] for line in lines]
    return [{vocabulary[int(word)]: int(n) for word, n in line} for line in pairs]


def test_exports_with_stable_ids_agree_and_hold_what_others_hold(tmp_path: Path) -> None:
    documents = corpora.make_table(
        tmp_path / "documents",
        [
            corpora.row((SOURCES[0], 0, 0), {"mid": 1, "zeta": 2}, "eng", None),
            corpora.row((SOURCES[0], 100, 0), {"alpha": 3, "mid": 1}, "deu", None),
            corpora.row((SOURCES[0], 200, 0), {"beta": 1, "mid": 2}, "fra", None),
        ],
    )
    ids = WordIds(Folder(tmp_path / "ids"))

    def exported(name: str, options: ExportOptions) -> tuple[list[str], dict[str, object]]:
        meta = export("ldac", tmp_path / name, documents, options, word_ids=ids)
        plain = export("ldac", tmp_path / f"{name}-sorted", documents, options)
        assert bags(tmp_path / name) == bags(tmp_path / f"{name}-sorted")
        assert (meta["ids"], plain["ids"]) == ("stable", "sorted")
        counts = dict(meta["counts"])
        words = (tmp_path / name / "vocab.txt").read_text("utf-8").splitlines()
        assert counts.pop("ids") == len(words) and counts == plain["counts"]
        frequencies = [line.split("\t") for line in (tmp_path / name / "frequency").read_text().splitlines()]
        used = sorted(line for line in frequencies if line[1:] != ["0", "0"])
        assert used == [line.split("\t") for line in (tmp_path / f"{name}-sorted/frequency").read_text().splitlines()]
        return words, meta

    assert exported("english", ExportOptions(languages=("eng",)))[0] == ["mid", "zeta"]
    assert exported("german", ExportOptions(languages=("deu",)))[0] == ["mid", "zeta", "alpha"]
    assert exported("frequent", ExportOptions(View(min_df=2)))[0] == ["mid", "zeta", "alpha"]
    assert exported("all", ExportOptions())[0] == ["mid", "zeta", "alpha", "beta"]
    with pytest.raises(ExportError, match="p21 numbers the words in order"):
        export("p21", tmp_path / "p21", documents, ExportOptions(), word_ids=ids)
