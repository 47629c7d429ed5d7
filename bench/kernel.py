"""Speed of the text kernel beside other ways to make bags of words, and beside reading alone.

    python -m bench.kernel [--sample-mb 300] [--rounds 3] [--only web|sample|memory]

Every way runs on one core, on the same pages in memory (reading: on the same file), in the same run; the rounds are
interleaved and the best one counts. Results: bench/results/kernel.json and kernel.md.
"""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # before polars is imported

import argparse
import gzip
import importlib.metadata
import json
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from fastwarc.warc import ArchiveIterator, WarcRecordType
from sklearn.feature_extraction.text import CountVectorizer
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from conf.profiles import load_profile
from producers.sample.writer import write_sample
from streaming.text import specification
from streaming.text.judge import judge
from streaming.text.kernel import Bagger
from streaming.text.language import detect

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
SHARED_DATA = Path(os.environ.get("WETSTREAM_SHARED_DATA") or ROOT.parent / "shared" / "data")
WEB = SHARED_DATA / "web" / "web-pages-1519.warc.wet.gz"
BATCH = 2000
"""Pages in one call of the kernel: as many as Spark gives it rows."""

P21, ENGLISH = load_profile("p21"), load_profile("english")
STOP_WORDS = P21.stop_words
TEXT_STOP_WORDS = sorted(word.decode() for word in STOP_WORDS)


class Pages:
    """Payloads in one buffer, as an Arrow column holds them."""

    def __init__(self, payloads: list[bytes]) -> None:
        self.payloads = payloads
        self.bounds = np.cumsum([0, *(len(payload) for payload in payloads)], dtype=np.int64)
        self.data = np.frombuffer(b"".join(payloads), np.uint8)
        self.mb = self.data.size / 1e6


def kernel(pages: Pages, bagger: Bagger) -> None:
    """Bags, term and document frequencies by the rules of the bagger's profile."""
    for first in range(0, len(pages.payloads), BATCH):
        bounds = pages.bounds[first : first + BATCH + 1]
        bagger.bag(pages.data, bounds[:-1], bounds[1:])
    bagger.words(bagger.take_counts()[0])


def judged(pages: Pages, bagger: Bagger, headers: list[str | None]) -> None:
    """As in the stream: language, then bag."""
    for first in range(0, len(pages.payloads), BATCH):
        bounds = pages.bounds[first : first + BATCH + 1]
        judge(bagger, pages.data, bounds[:-1], bounds[1:], headers[first : first + BATCH])
    bagger.words(bagger.take_counts()[0])


def plain_specification(pages: Pages) -> None:
    tf: Counter[bytes] = Counter()
    df: Counter[bytes] = Counter()
    for payload in pages.payloads:
        counts = specification.bag(payload, P21).counts
        tf.update(counts)
        df.update(counts.keys())


def plain_loop(pages: Pages) -> None:
    """The same rules as tight as plain Python gets: one loop, no functions."""
    valid_bytes = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'-"
    tf: Counter[bytes] = Counter()
    df: Counter[bytes] = Counter()
    for payload in pages.payloads:
        counts: dict[bytes, int] = {}
        valid = 0
        for chunk in payload.split():
            word = chunk.strip(b"-'\"")
            if word and not word.translate(None, valid_bytes):
                valid += 1
                word = word.lower()
                if word not in STOP_WORDS:
                    counts[word] = counts.get(word, 0) + 1
        if valid > 10:
            tf.update(counts)
            df.update(counts.keys())


TOKEN = re.compile(rb"(?<!\S)[-'\"]*([A-Za-z'-]+?)[-'\"]*(?!\S)")


def regex_and_counter(pages: Pages) -> None:
    tf: Counter[bytes] = Counter()
    df: Counter[bytes] = Counter()
    for payload in pages.payloads:
        found = TOKEN.findall(payload.lower())
        if len(found) > 10:
            counts = Counter(found)
            for word in STOP_WORDS:
                counts.pop(word, None)
            tf.update(counts)
            df.update(counts.keys())


def with_polars(pages: Pages) -> None:
    text = [payload.decode("utf-8", errors="replace") for payload in pages.payloads]
    words = (
        pl.LazyFrame({"page": np.arange(len(text), dtype=np.uint32), "word": text})
        .with_columns(pl.col("word").str.to_lowercase().str.extract_all(r"\S+"))
        .explode("word")
        .with_columns(pl.col("word").str.strip_chars("-'\""))
        .filter(pl.col("word").str.contains(r"^[a-z'-]+$"))
        .filter(pl.len().over("page") > 10)
        .filter(~pl.col("word").is_in(TEXT_STOP_WORDS))
    )
    bags = words.group_by("page", "word").agg(pl.len().alias("count"))
    bags.group_by("word").agg(pl.col("count").sum(), pl.len().alias("pages")).collect()


def count_vectorizer(pages: Pages) -> None:
    """As it comes, with the stop words: its own token pattern is simpler than the rules."""
    bags = CountVectorizer(decode_error="replace", stop_words=TEXT_STOP_WORDS).fit_transform(pages.payloads)
    bags.sum(axis=0)
    bags.getnnz(axis=0)


def read_fastwarc(path: Path) -> None:
    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.conversion, parse_http=False):
            record.reader.read()


def read_warcio(path: Path) -> None:
    with path.open("rb") as file:
        for record in WarcioIterator(file):
            record.content_stream().read()


def read_gzip(path: Path) -> None:
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass


def payloads_of(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.conversion, parse_http=False)
        return [record.reader.read() for record in records]


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(path: Path, rounds: int) -> dict[str, float]:
    """MB/s of payload by way, best of several rounds."""
    pages = Pages(payloads_of(path))
    # What Common Crawl writes into the language header, which these pages do not have: it detects with CLD2 too.
    headers = [detect(payload) for payload in pages.payloads]
    in_english = Pages([payload for payload, code in zip(pages.payloads, headers, strict=True) if code == "eng"])
    all_english: list[str | None] = ["eng"] * len(in_english.payloads)
    p21, english = Bagger(P21), Bagger(ENGLISH)
    ways: dict[str, tuple[float, Callable[[], None]]] = {
        "kernel, p21": (pages.mb, lambda: kernel(pages, p21)),
        "kernel, p21, vocabulary from nothing": (pages.mb, lambda: kernel(pages, Bagger(P21))),
        "kernel, p21, English pages only": (in_english.mb, lambda: kernel(in_english, p21)),
        "kernel, english, language header": (pages.mb, lambda: judged(pages, english, headers)),
        "kernel, english, English pages only": (in_english.mb, lambda: judged(in_english, english, all_english)),
        "kernel, english, CLD2 on every page": (pages.mb, lambda: judged(pages, english, [None] * len(headers))),
        "plain Python, the specification": (pages.mb, lambda: plain_specification(pages)),
        "plain Python, one tight loop": (pages.mb, lambda: plain_loop(pages)),
        "regular expression and Counter": (pages.mb, lambda: regex_and_counter(pages)),
        "Polars, one thread": (pages.mb, lambda: with_polars(pages)),
        "scikit-learn CountVectorizer": (pages.mb, lambda: count_vectorizer(pages)),
        "reading alone, fastwarc": (pages.mb, lambda: read_fastwarc(path)),
        "reading alone, warcio": (pages.mb, lambda: read_warcio(path)),
        "reading alone, gzip": (pages.mb, lambda: read_gzip(path)),
    }
    best = dict.fromkeys(ways, 0.0)
    for number in range(rounds):
        for way, (mb, run) in ways.items():
            best[way] = max(best[way], mb / seconds(run))
            print(f"  {number + 1}/{rounds} {way}: {best[way]:.1f} MB/s", flush=True)
    return best


def ratios(speeds: dict[str, float]) -> dict[str, float]:
    ours = speeds["kernel, p21"]
    return {
        "kernel / plain Python specification (at least 9, aim 12)": ours / speeds["plain Python, the specification"],
        "kernel / plain Python in one tight loop": ours / speeds["plain Python, one tight loop"],
        "kernel / regular expression and Counter": ours / speeds["regular expression and Counter"],
        "kernel / Polars": ours / speeds["Polars, one thread"],
        "kernel / CountVectorizer (at least 6)": ours / speeds["scikit-learn CountVectorizer"],
        "kernel / reading alone with fastwarc (at least 0.6)": ours / speeds["reading alone, fastwarc"],
        "english / p21, language header (at least 0.7)": speeds["kernel, english, language header"] / ours,
        "english / p21, English pages only": (
            speeds["kernel, english, English pages only"] / speeds["kernel, p21, English pages only"]
        ),
        "english / p21, CLD2 on every page": speeds["kernel, english, CLD2 on every page"] / ours,
    }


MEMORY = """
import re, sys
import numpy as np
from conf.profiles import load_profile
from streaming.text.kernel import Bagger
bagger = Bagger(load_profile("p21"))
wanted = int(sys.argv[1])
letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
rng = np.random.default_rng(1)
while len(bagger) < wanted:
    n = min(50_000, max(1000, wanted - len(bagger)))
    text = rng.choice(letters, n * 11)  # words of 3 to 17 letters, 10 on average
    text[np.cumsum(rng.integers(4, 19, n)) % text.size] = 32
    bagger.bag(text, np.array([0]), np.array([text.size]))
    bagger.take_counts()
ids, tf, df = bagger.take_counts()
bagger.words(ids)
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())  # ru_maxrss would count the parent too
print(len(bagger), int(peak[1]) * 1024, bagger.vocabulary.nbytes)
"""


def memory(words: int) -> dict[str, int]:
    """Peak resident bytes of a fresh worker process that has met so many words (without Spark's own Python)."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(words)], check=True, capture_output=True, text=True, cwd=ROOT
    )
    known, peak, tables = map(int, done.stdout.split())
    return {"words": known, "peak_rss_bytes": peak, "table_bytes": tables}


def machine() -> dict[str, Any]:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    packages = ("numba", "numpy", "polars", "scikit-learn", "fastwarc", "warcio", "pycld2")
    return {
        "cpu": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        **{name: importlib.metadata.version(name) for name in packages},
    }


def markdown(results: dict[str, Any]) -> str:
    lines = ["# Text kernel", ""]
    about = ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    lines += [f"One core, best of {results['rounds']} interleaved rounds. {about}", ""]
    corpora = results["corpora"]
    lines += ["| ratio | " + " | ".join(corpora) + " |", "|---|" + "---:|" * len(corpora)]
    for name in next(iter(corpora.values()))["ratios"]:
        lines.append(f"| {name} | " + " | ".join(f"{c['ratios'][name]:.2f}" for c in corpora.values()) + " |")
    lines += ["", "| MB/s | " + " | ".join(corpora) + " |", "|---|" + "---:|" * len(corpora)]
    for name in next(iter(corpora.values()))["mb_per_s"]:
        lines.append(f"| {name} | " + " | ".join(f"{c['mb_per_s'][name]:.1f}" for c in corpora.values()) + " |")
    lines += ["", "| memory of a worker | words | peak RSS, MB | tables, MB |", "|---|---:|---:|---:|"]
    for row in results["memory"]:
        peak, tables = row["peak_rss_bytes"] / 1e6, row["table_bytes"] / 1e6
        lines.append(f"| p21 | {row['words']:,} | {peak:.0f} | {tables:.0f} |")
    lines += ["", *results["notes"], ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample-mb", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["web", "sample", "memory"])
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "machine": machine(),
        "rounds": arguments.rounds,
        "corpora": {},
        "memory": [],
        "notes": [],
    }
    corpora = results["corpora"]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only in (None, "web"):
            if WEB.exists():
                print(f"web pages: {WEB.name}", flush=True)
                corpora["web-pages-1519, 17 MB"] = {"mb_per_s": measure(WEB, arguments.rounds)}
            else:
                results["notes"].append(f"Left out: {WEB.name} is not there (WETSTREAM_SHARED_DATA names its folder).")
        if arguments.only in (None, "sample"):
            path = Path(folder) / "sample.warc.wet.gz"
            print(f"sample of {arguments.sample_mb} MB", flush=True)
            write_sample(path, raw_bytes=arguments.sample_mb * 1_000_000, seed=1)
            corpora[f"wetstream sample, {arguments.sample_mb} MB"] = {"mb_per_s": measure(path, arguments.rounds)}
    for corpus in corpora.values():
        corpus["ratios"] = ratios(corpus["mb_per_s"])
    if arguments.only in (None, "memory"):
        results["memory"] = [memory(1_000_000), memory(10_000_000)]
    results["machine"]["bench_peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    for note in results["notes"]:
        print(note)
    if not corpora:
        print(json.dumps(results["memory"]))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "kernel.json").write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "kernel.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
