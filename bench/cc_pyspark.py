r"""Counting words of WET files the way cc-pyspark does (its word_count.py): a yardstick, not a part of wetstream.

A file a task, records by warcio, `\\w+` in lower case, a Counter a record, `reduceByKey`. It has no rules, no documents
and no document frequencies; all that is in its favour.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import add
from pathlib import Path

from pyspark import SparkConf, SparkContext
from warcio.archiveiterator import ArchiveIterator

WORD = re.compile(r"\w+", re.UNICODE)


def words_of(paths: Iterable[str]) -> Iterator[tuple[str, int]]:
    for path in paths:
        with Path(path).open("rb") as file:
            for record in ArchiveIterator(file):
                if record.rec_type == "conversion":
                    text = record.content_stream().read().decode("utf-8", "replace")
                    yield from Counter(word.lower() for word in WORD.findall(text)).items()


def main() -> None:
    cores, files = int(sys.argv[1]), sys.argv[2:]
    conf = SparkConf().setMaster(f"local[{cores}]").set("spark.driver.memory", "4g").set("spark.ui.enabled", "false")
    conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1")
    context = SparkContext(conf=conf)
    context.setLogLevel("ERROR")
    context.parallelize(range(cores), cores).count()  # the workers are up
    began = time.perf_counter()
    words = context.parallelize(files, len(files)).mapPartitions(words_of).reduceByKey(add).count()
    print(json.dumps({"seconds": time.perf_counter() - began, "words": words}))
    context.stop()


if __name__ == "__main__":
    main()
