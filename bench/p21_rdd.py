"""The P2.1 batch job as it is usually written: RDDs of Python strings. The yardstick, not a part of wetstream.

Written the way public solutions of the course project are: warcio reads the records, Python splits and filters the
tokens, `reduceByKey` counts words and documents. It counts; thresholds and outputs are left out, in its favour.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pyspark import SparkConf, SparkContext
from warcio.archiveiterator import ArchiveIterator

TOKEN = re.compile(r"^[-'\"]*[a-zA-Z\-']+[-'\"]*$")
WHITE_SPACE = re.compile(r"[ \t\n\r\v\f]+")


def documents(path: str) -> Iterator[str]:
    with Path(path).open("rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "conversion":
                yield record.content_stream().read().decode("utf-8", "replace")


def tokens(text: str, stop_words: frozenset[str]) -> list[str]:
    valid = [token.strip("-'\"").lower() for token in WHITE_SPACE.split(text) if TOKEN.match(token)]
    valid = [token for token in valid if token]
    return [token for token in valid if token not in stop_words] if len(valid) > 10 else []


def count(files: list[str], cores: int, stop_words: frozenset[str]) -> dict[str, float]:
    """Count words of WET files; returns seconds and what was counted."""
    conf = SparkConf().setMaster(f"local[{cores}]").set("spark.driver.memory", "4g").set("spark.ui.enabled", "false")
    conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1")
    context = SparkContext(conf=conf)
    context.setLogLevel("ERROR")
    words = context.broadcast(stop_words)
    context.parallelize(range(cores), cores).count()  # the workers are up
    began = time.perf_counter()
    kept = context.parallelize(files, len(files)).flatMap(documents).map(lambda text: tokens(text, words.value))
    kept = kept.filter(bool).cache()
    number = kept.count()
    frequency = kept.flatMap(lambda doc: [(word, 1) for word in doc]).reduceByKey(lambda a, b: a + b)
    in_documents = kept.flatMap(lambda doc: [(word, 1) for word in set(doc)]).reduceByKey(lambda a, b: a + b)
    joined = frequency.join(in_documents)
    result = {"documents": number, "words": joined.count(), "tokens": frequency.values().sum()}
    seconds = time.perf_counter() - began
    context.stop()
    return {"seconds": seconds, **result}


if __name__ == "__main__":
    import json

    stop = frozenset(Path(sys.argv[1]).read_text().split())
    print(json.dumps(count(sys.argv[3:], int(sys.argv[2]), stop)))
