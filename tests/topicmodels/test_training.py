"""Training and updating from a documents table: resumed after kills, each document once, models for other libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.decomposition import LatentDirichletAllocation

import wetstream
from sinks.documents.compaction import compact
from sinks.documents.takedowns import Takedown, TakedownKind
from tests.topicmodels.corpora import Generated, StoredPipeline, generate, matched_cosine
from tests.topicmodels.killed import OPTIONS
from topicmodels.lda.inference import slice_bags
from topicmodels.lda.online import OnlineLda
from topicmodels.store import ModelStore
from wetstream.pipeline.topics.takedowns import purge_models

ROOT = Path(__file__).resolve().parents[2]
CORPUS = generate(1200, 8, 300, seed=5)


def part(first: int, end: int, corpus: Generated = CORPUS) -> list[dict[str, int]]:
    return Generated(slice_bags(corpus.bags, first, end), corpus.topics).dicts()


@pytest.fixture
def stored(tmp_path: Path) -> StoredPipeline:
    """1,200 documents of two sources, in four files."""
    made = StoredPipeline(tmp_path / "home")
    for number in range(4):
        made.add(part(number * 300, number * 300 + 300), source=f"s{number % 2}", language="eng")
    return made


def opened(stored: StoredPipeline) -> wetstream.Pipeline:
    return wetstream.Pipeline("main", home=str(stored.settings.home))


def test_a_training_that_is_killed_gives_the_same_model(stored: StoredPipeline) -> None:
    pipeline = opened(stored)
    undisturbed = pipeline.topics.train("undisturbed", **OPTIONS)
    command = [sys.executable, "-m", "tests.topicmodels.killed", stored.settings.home, "killed", "20", "7"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=200
    )
    assert done.stdout.strip() == "20 kills", done.stderr
    killed = pipeline.topics.open("killed")
    assert killed.weights.tobytes() == undisturbed.weights.tobytes()
    assert killed.info["tokens"] == undisturbed.info["tokens"] and killed.words == undisturbed.words


def test_compaction_changes_no_bit(stored: StoredPipeline) -> None:
    pipeline = opened(stored)
    before = pipeline.topics.train("before", **OPTIONS)
    assert compact(stored.documents, target_bytes=1 << 26, compression_level=1).files_after == 1
    after = pipeline.topics.train("after", **OPTIONS)
    assert before.weights.tobytes() == after.weights.tobytes()
    assert before.info["table_version"] < after.info["table_version"]


def test_an_update_takes_each_new_document_once(stored: StoredPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = opened(stored)
    model = pipeline.topics.train(**OPTIONS)
    stored.add([*part(0, 50), *[{"w00001": 3, "unheard": 2, "w00002": 1}] * 30], source="late", language="deu")
    compact(stored.documents, target_bytes=1 << 26, compression_level=1)  # old and new documents in one file
    stored.add([{"w00003": 1, "w00004": 5}] * 20, source="later")
    seen: list[int] = []
    learn = OnlineLda.learn

    def counting(self: OnlineLda, bags: object, *rest: object) -> object:
        seen.append(len(bags.starts) - 1)  # type: ignore[attr-defined]
        return learn(self, bags, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(OnlineLda, "learn", counting)
    updated = pipeline.topics.update()
    assert sum(seen) == 100 and updated.info["documents"] == 1300
    assert updated.words == [*model.words, "unheard"] and len(updated.weights) == len(model.weights) + 1
    assert updated.info["sources"] == {"s0": 600, "s1": 600, "late": 80, "later": 20}
    assert updated.info["lineage"][-1]["words_added"] == 1
    # Expected tokens: those of both trainings, as the documents have them.
    held, fresh = set(model.words), part(0, 50)
    tokens = sum(count for bag in [*part(0, 1200), *fresh] for word, count in bag.items() if word in held)
    assert sum(updated.info["tokens"]) == pytest.approx(tokens + 30 * 6 + 20 * 6, rel=0.01)
    seen.clear()
    again = pipeline.topics.update()
    assert not seen and again.weights.tobytes() == updated.weights.tobytes() and again.info["documents"] == 1300


def test_removed_sources_are_named(stored: StoredPipeline) -> None:
    pipeline = opened(stored)
    pipeline.topics.train(**OPTIONS)
    files = stored.documents.files()
    gone = [file for file in files if file["min.source"] == "s1"]
    stored.documents.plan_removal({"s1": (0, stored.at)})
    stored.documents.complete_removal([file["path"] for file in gone], [])
    model = pipeline.topics.update()
    assert model.info["removed_sources"] == ["s1"] and model.info["lineage"][-1]["documents"] == 0


def test_pages_taken_down_are_no_examples(stored: StoredPipeline) -> None:
    pipeline = opened(stored)
    before = pipeline.topics.train(**OPTIONS).documents["url"].to_pylist()
    assert any(url and "example.org" in url for url in before)
    stored.documents.plan_removal({}, takedowns=[Takedown.make(TakedownKind.HOST, "example.org")])
    after = pipeline.topics.open().documents["url"].to_pylist()
    assert len(after) == sum(not (url and "example.org" in url) for url in before) > 0


def test_a_purge_deletes_pages_from_the_examples_of_all_models(stored: StoredPipeline) -> None:
    pipeline = opened(stored)
    store = ModelStore(stored.settings.home / "topics" / "main")
    for name in ("main", "other"):
        pipeline.topics.train(name, **OPTIONS)
    weights = store.load("main").weights
    stored.documents.plan_removal({}, takedowns=[Takedown.make(TakedownKind.HOST, "example.org")])
    assert any("example.org" in (url or "") for url in store.load("main").documents["url"].to_pylist())
    with store.training("other"):
        purged, left = purge_models(store, stored.documents)
        assert purged == ["main"] and len(left) == 1 and "other" in left[0] and "being trained" in left[0]
    assert purge_models(store, stored.documents) == (["other"], [])
    assert purge_models(store, stored.documents) == ([], [])
    for name in ("main", "other"):
        urls = [
            url for path in store.folder.glob(f"{name}/documents-*") for url in pq.read_table(path)["url"].to_pylist()
        ]
        assert urls and not any("example.org" in (url or "") for url in urls)
    assert np.array_equal(store.load("main").weights, weights)


def test_a_part_of_the_corpus(stored: StoredPipeline) -> None:
    pipeline = opened(stored)
    stored.add([{"alpha": 5, "beta": 5}] * 40, source="greek", language="ell")
    model = pipeline.topics.train("greek", topics=2, languages=["ell"], min_df=1, max_df=None)
    assert sorted(model.words) == ["alpha", "beta"] and model.info["documents"] == 40
    assert pipeline.topics.shares("language", "greek")["value"].to_pylist() == ["ell", "ell"]
    once = pipeline.topics.train("once", topics=2, languages=["ell"], min_df=1, max_df=None, once="bag")
    assert once.info["documents"] == 1 and once.info["sources"] == {"greek": 1}
    old = pipeline.topics.train("old", as_of=stored.documents.version - 1, **OPTIONS)
    assert old.info["documents"] == 1200 and "alpha" not in old.words


def test_what_cannot_be_is_explained(stored: StoredPipeline) -> None:
    topics = opened(stored).topics
    with pytest.raises(wetstream.TopicError, match="make one with `wetstream topics train`"):
        topics.open()
    topics.train(**OPTIONS)
    with pytest.raises(wetstream.TopicError, match="--overwrite"):
        topics.train(**OPTIONS)
    with pytest.raises(wetstream.TopicError, match="cannot name a model"):
        topics.train("../escape")
    with pytest.raises(wetstream.TopicError, match="no word"):
        topics.train("none", min_df=10_000)
    with pytest.raises(wetstream.TopicError, match="topics = 1 is not"):
        topics.train("one", topics=1)
    with pytest.raises(wetstream.TopicError, match="topics are 0 to 7"):
        topics.open().top_words(8)
    (stored.settings.home / "topics" / "main" / "main" / "words-1.parquet").write_bytes(b"damaged")
    with pytest.raises(wetstream.TopicError, match="cannot be read"):
        topics.open()
    topics.drop("main")
    assert topics.models() == []


def test_other_libraries_see_the_same_model(stored: StoredPipeline) -> None:
    model = opened(stored).topics.train(**OPTIONS)
    bags = part(0, 60)
    mine = model.infer(bags)
    sklearn = model.to_sklearn()
    matrix = np.zeros((60, len(model.words)))
    ids = {word: number for number, word in enumerate(model.words)}
    for row, bag in enumerate(bags):
        for word, count in bag.items():
            if word in ids:
                matrix[row, ids[word]] = count
    assert isinstance(sklearn, LatentDirichletAllocation)
    from scipy.sparse import csr_matrix

    np.testing.assert_allclose(sklearn.transform(csr_matrix(matrix)), mine, atol=2e-3)
    gensim = model.to_gensim()
    for row in range(60):
        corpus = [(ids[word], count) for word, count in bags[row].items() if word in ids]
        found = dict(gensim.get_document_topics(corpus, minimum_probability=0.0))
        # gensim begins with random gamma, and so ends elsewhere within its tolerance.
        assert max(abs(found.get(topic, 0.0) - mine[row, topic]) for topic in range(8)) < 0.05
    assert [word for word, _ in gensim.show_topic(3, 5)] == model.top_words(3, 5, by="probability")["word"].to_pylist()


def test_coherence_is_that_of_gensim(stored: StoredPipeline) -> None:
    from gensim.corpora import Dictionary
    from gensim.models import CoherenceModel

    model = opened(stored).topics.train(**OPTIONS)
    known = set(model.words)
    texts = [[word for word in bag if word in known] for bag in part(0, 1200)]
    tops = [model.top_words(topic, 10, by="probability")["word"].to_pylist() for topic in range(8)]
    # A window that holds a whole document counts documents.
    theirs = CoherenceModel(
        topics=tops, texts=texts, dictionary=Dictionary(texts), coherence="c_npmi", window_size=10_000, processes=1
    )
    np.testing.assert_allclose(model.info["coherence"], theirs.get_coherence_per_topic(), atol=1e-6)


def test_topics_are_shown_by_words_and_documents(stored: StoredPipeline) -> None:
    pipeline = opened(stored)
    model = pipeline.topics.train(**OPTIONS)
    assert matched_cosine(model.probabilities, CORPUS.topics[[int(word[1:]) for word in model.words]]).mean() > 0.8
    assert model.topic_shares().sum() == pytest.approx(1)
    top = model.top_words(0, 5).to_pylist()
    assert [row["relevance"] for row in top] == sorted((row["relevance"] for row in top), reverse=True)
    best = [row for row in model.documents.to_pylist() if row["topic"] == 0]
    assert best and best == sorted(best, key=lambda row: -row["share"]) and best[0]["share"] > 0.5
    shares = pipeline.topics.shares("source")
    assert set(shares["value"].to_pylist()) == {"s0", "s1"}
    assert sum(shares["tokens"].to_pylist()) == pytest.approx(sum(model.info["tokens"]))
    (page,) = pipeline.topics.assign(" ".join(top[0]["word"] for _ in range(20)))
    assert page.page == "text"
