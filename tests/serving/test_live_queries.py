"""The questions, against plain Python over the same documents."""

from __future__ import annotations

import asyncio
import math
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis as AsyncRedis

from serving.as_of import Instant
from serving.atomic_read import read_atomically
from serving.lengths import histogram, length_summary
from serving.queries import NoStatisticsError, View
from serving.top_words import NotRankedError, TopWords
from serving.vocabulary_snapshot import VocabularySnapshot, _columns
from serving.word_lookup import look_up_words_async
from sinks.keys import Keys, build_prefix, live_key
from tests.harness import Command
from tests.serving.pipelines import Made, Running

NOW = Instant({"time": None, "positions": {}, "lag": None, "applying": False, "streaming": False}, "")
BAGS = [{"alpha": 3, "beta": 1}, {"alpha": 1, "gamma": 2}, {"alpha": 2, "beta": 2, "été": 1}, {"delta": 1}]
# df: alpha 3, beta 2, gamma, été and delta 1, of 4 documents. Both bounds are met exactly somewhere.
VIEWS = {
    View(): {"alpha", "beta", "gamma", "été", "delta"},
    View(2): {"alpha", "beta"},
    View(3): {"alpha"},
    View(1, 0.5): {"gamma", "été", "delta"},
    View(1, 0.51): {"beta", "gamma", "été", "delta"},
    View(2, 0.75): {"beta"},
    View(1, 0.75): {"beta", "gamma", "été", "delta"},
    View(1, 1.0): {"alpha", "beta", "gamma", "été", "delta"},
    View(4): set(),
    View(1, 0.0): set(),
    View(3, 0.5): set(),
}


@pytest.mark.parametrize(("view", "words"), VIEWS.items(), ids=map(str, VIEWS))
def test_any_view_is_exact(made: Made, view: View, words: set[str]) -> None:
    made.add(*BAGS[:2], rejected=3)
    made.add(*BAGS[2:])
    held = {word: counts for word, counts in made.words().items() if word in words}
    answer = made.live.vocabulary_size(view)
    assert (answer["words"], answer["tokens"]) == (len(held), sum(tf for tf, _ in held.values()))
    assert (answer["of_words"], answer["of_tokens"]) == (5, 13)
    stats = made.live.stats(view)
    assert (stats["words"], stats["records"], stats["documents"]) == (len(held), 7, 4)
    ordered = sorted(held, key=lambda word: (-held[word][0], word.encode()))
    assert [row["word"] for row in made.live.top(10, view)["words"]] == ordered
    by_df = sorted(held, key=lambda word: (-held[word][1], -held[word][0], word.encode()))
    assert [row["word"] for row in made.live.top(10, view, by="df")["words"]] == by_df
    snapshot = made.live.snapshot()
    assert [row["word"] for row in snapshot.search("tf", 10, 0, view)["words"]] == ordered
    rarest = sorted(held, key=lambda word: (held[word], word.encode()))
    assert [row["word"] for row in snapshot.bottom(2, view)["words"]] == rarest[:2]
    assert [row["word"] for row in snapshot.bottom(2, view, 1)["words"]] == rarest[1:3]


def test_words_have_frequencies_idf_and_rank(made: Made) -> None:
    made.add(*BAGS, top_words=2)
    alpha, never, gamma = made.live.words(["ALPHA", "never", "gamma"])["words"]
    assert alpha == {"word": "alpha", "tf": 6, "df": 3, "idf": round(math.log(4 / 3), 6), "rank": 1}
    assert (never["tf"], never["idf"], never["rank"]) == (0, None, None)
    assert gamma["rank"] is None  # below those that are kept ranked; a snapshot knows
    snapshot = made.live.snapshot()
    assert snapshot.settled and [snapshot.rank(word) for word in ("alpha", "beta", "gamma", "never")] == [1, 2, 3, None]
    with pytest.raises(ValueError, match=r"redis\.top_words"):
        made.live.top(3)


@given(st.dictionaries(st.text("abcé", min_size=1, max_size=3), st.tuples(st.integers(1, 4), st.integers(1, 3))))
def test_snapshot_breaks_ties_between_words(held: dict[str, tuple[int, int]]) -> None:
    words = sorted(held, key=str.encode)
    columns = (np.array([held[word][column] for word in words], np.int64) for column in (0, 1))
    copied = VocabularySnapshot(pa.array([w.encode() for w in words], pa.binary()), *columns, 9, NOW, True, 0, 0)
    by_tf = sorted(words, key=lambda word: -held[word][0])
    by_df = sorted(by_tf, key=lambda word: -held[word][1])
    assert [copied.rank(word) for word in by_tf] == list(range(1, len(words) + 1))
    assert copied.rank("d") is copied.rank("") is copied.rank("aaaa") is None
    for by, ordered in (("tf", by_tf), ("df", by_df), ("word", words)):
        assert [row["word"] for row in copied.search(by, 9, 1)["words"]] == ordered[1:10]


def test_top_is_complete_where_no_unranked_word_can_be_in_the_view() -> None:
    ranked = TopWords([b"a", b"b", b"c"], np.array([90, 80, 40]), np.array([70, 60, 30]), 100, 9_999, NOW)
    assert [row["word"] for row in ranked.top(20, View(min_df=50))["words"]] == ["a", "b"]
    assert [row["word"] for row in ranked.top(20, View(min_df=50), by="df")["words"]] == ["a", "b"]
    assert ranked.top(20, View(min_df=71))["words"] == []
    with pytest.raises(NotRankedError):
        ranked.top(20, View(min_df=40))  # an unranked word may have tf = df = 40


def test_top_by_df_refuses_what_it_cannot_know(made: Made) -> None:
    often, rare = {"often": 9}, {"wide": 1, "flat": 1}
    made.add(often, rare, rare, {"wide": 1}, top_words=2)  # ranked: often (tf 9), wide (tf 3); flat has tf 2
    assert [row["word"] for row in made.live.top(1, by="tf")["words"]] == ["often"]
    with pytest.raises(ValueError):  # wide has df 3, which an unranked word could have too
        made.live.top(1, by="df")
    made.add({"wide": 1})  # df 4, above the last ranked tf? no: tf 4 as well
    with pytest.raises(ValueError):
        made.live.top(1, by="df")


def test_the_order_by_df_is_not_that_by_tf(made: Made, serve: Callable[..., Running], command: Command) -> None:
    """tf and df order these words in opposite ways; equal df is decided by tf, then by word."""
    many = {"loud": 50}
    made.add(
        many | {"wide": 1, "tie": 2, "even": 2}, {"wide": 1, "tie": 1, "even": 1}, {"wide": 1}, {"wide": 1, "a": 1}
    )
    by_df = [("wide", 4, 4), ("even", 3, 2), ("tie", 3, 2), ("loud", 50, 1), ("a", 1, 1)]
    by_tf = [("loud", 50, 1), ("wide", 4, 4), ("even", 3, 2), ("tie", 3, 2), ("a", 1, 1)]
    server = serve()

    def rows(words: Any) -> list[tuple[str, int, int]]:
        return [(row["word"], row["tf"], row["df"]) for row in words]

    assert rows(made.live.top(9, by="df")["words"]) == by_df
    assert rows(made.live.top(2, by="df", offset=1)["words"]) == by_df[1:3]
    assert rows(server.get("/api/v1/words/top?by=df")["words"]) == by_df
    assert rows(server.get("/api/v1/words/top")["words"]) == by_tf
    found = server.wait_for("/api/v1/words/search?by=df", lambda answer: True)
    assert rows(found["words"]) == by_df
    assert rows(command.json("top", "--by", "df", "-n", "3")["words"]) == by_df[:3]
    assert rows(command.json("top", "--max-df", "0.5", "--min-df", "1")["words"]) == [by_tf[0], by_tf[-1]]


def test_prefix_search_bounds(made: Made) -> None:
    made.add({"car": 3, "cart": 1, "cast": 5, "ca": 2, "caé": 1, "d": 1, "日本": 2, "日": 1})
    snapshot = made.live.snapshot()
    assert [row["word"] for row in snapshot.prefix("CA")["words"]] == ["cast", "car", "ca", "cart", "caé"]
    assert [row["word"] for row in snapshot.prefix("日")["words"]] == ["日本", "日"]
    assert snapshot.prefix("x")["words"] == [] and snapshot.prefix("ca", 2)["total"] == 5
    assert [row["word"] for row in snapshot.search("word", 2, 1)["words"]] == ["car", "cart"]
    assert snapshot.search("tf", 9, 0, contains="art")["total"] == 1
    zipf = snapshot.zipf()["points"]
    assert (zipf[0], zipf[-1]["rank"]) == ({"rank": 1, "tf": 5, "word": "cast"}, 8)


@given(st.dictionaries(st.integers(0, 5000), st.integers(1, 9), max_size=40))
def test_length_histogram_counts_every_document(lengths: dict[int, int]) -> None:
    flat = sorted(length for length, n in lengths.items() for _ in range(n))
    summary, bins = length_summary(lengths), histogram(lengths)
    assert sum(one["documents"] for one in bins) == len(flat)
    for one in bins:
        assert one["documents"] == sum(one["from"] <= length < one["to"] for length in flat)
    if flat:
        assert all(summary[f"p{p}"] == flat[int(p / 100 * len(flat))] for p in (10, 50, 99))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 4), min_size=1), min_size=1, max_size=6))
def test_frequencies_add_up_to_every_view(made: Made, bags: list[dict[str, int]]) -> None:
    made.add(*bags)
    answer = made.live.aggregates().frequencies()
    for low in (1, 2, 3):
        rows = [(w, t) for df, w, t in zip(answer["df"], answer["words"], answer["tokens"], strict=True) if df >= low]
        counted = made.live.vocabulary_size(View(low))
        assert (sum(w for w, _ in rows), sum(t for _, t in rows)) == (counted["words"], counted["tokens"])


def test_a_rebuild_that_switches_meanwhile_is_noticed(made: Made) -> None:
    made.add({"alpha": 1})
    before = made.keys
    after = Keys(build_prefix(made.pipeline, "g", 2))
    for name in ("words", "totals", "as_of", "position"):
        made.client.copy(getattr(before, name), getattr(after, name))
    made.client.hset(after.words, "alpha", "9 1")
    made.client.set(live_key(made.pipeline), after.prefix)
    made.client.delete(*before.all())

    async def look_up() -> int:
        async with AsyncRedis.from_url(made.settings.redis.url.get_secret_value()) as client:
            answer = await look_up_words_async(client, made.pipeline, ["alpha"], before)
            return int(answer["words"][0]["tf"])

    # Asked with the keys of a moment ago, as the server does.
    assert asyncio.run(look_up()) == 9
    keys, _, (entry,) = read_atomically(
        made.client, made.pipeline, lambda pipe, at: pipe.hget(at.words, "alpha"), before
    )
    assert (keys, entry) == (after, b"9 1")
    made.client.delete(live_key(made.pipeline))
    with pytest.raises(NoStatisticsError, match=made.pipeline):
        asyncio.run(look_up())
    with pytest.raises(NoStatisticsError, match=made.pipeline):
        read_atomically(made.client, made.pipeline, lambda pipe, at: None, before)


def test_word_returned_twice_by_a_scan_keeps_its_later_value() -> None:
    rows = {"word": [b"b", b"a", b"b", b"c"], "tf": [1, 5, 2, 7], "df": [1, 4, 2, 3]}
    words, tf, df = _columns(pa.table(rows))
    assert (words.to_pylist(), tf.tolist(), df.tolist()) == ([b"a", b"b", b"c"], [5, 2, 7], [4, 2, 3])


def test_snapshot_holds_every_word(made: Made) -> None:
    made.add({f"w{number}": number % 7 + 1 for number in range(12_345)}, {f"w{number}": 1 for number in range(3)})
    snapshot = made.live.snapshot()
    found = zip(snapshot.words.to_pylist(), snapshot.tf.tolist(), snapshot.df.tolist(), strict=True)
    assert snapshot.settled
    assert {word.decode(): (tf, df) for word, tf, df in found} == made.words()


def test_every_answer_has_as_of(made: Made) -> None:
    with pytest.raises(NoStatisticsError, match="wetstream run"):
        made.live.stats()
    made.add(*BAGS)
    live = made.live
    answers: list[Any] = [live.stats(), live.vocabulary_size(), live.lengths(), live.rejected(), live.sources()]
    answers += [
        live.pages_by("languages"),
        live.top(1),
        live.words(["a"]),
        live.word("a"),
        live.batches(),
        live.growth(),
    ]
    for answer in answers:
        assert answer["as_of"]["positions"] == {"t/0": 4} and answer["as_of"]["lag"] is None
    made.client.hset(made.keys.commit, mapping={"finish": '{"t/0":9}', "last": "beta"})
    assert live.stats()["as_of"]["applying"] and not live.snapshot().settled


def test_public_names_load_nothing_before_they_are_used() -> None:
    code = "import sys, wetstream; assert 'redis' not in sys.modules; "
    code += "wetstream.LiveStatistics; assert 'redis' in sys.modules"
    subprocess.run([sys.executable, "-c", code + "; assert 'pyspark' not in sys.modules"], check=True)


def test_a_question_loads_no_more_than_it_needs(made: Made, command: Command) -> None:
    """Numba, Kafka's client and the readers of the documents table each take longer to load than Redis to answer."""
    made.add(*BAGS)
    code = (
        "import sys\n"
        "from wetstream.commands.main import cli\n"
        f"cli(['stats', '--pipeline', {made.pipeline!r}], standalone_mode=False)\n"
        "heavy = {'numba', 'kafka', 'deltalake', 'duckdb', 'polars', 'pandas', 'pyspark', 'sklearn'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=command.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"documents +4\n", done.stdout)
