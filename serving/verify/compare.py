"""Redis against a recount of the documents table: every field of every statistic, and the order of the top words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from redis import Redis

from conf.errors import counted
from serving.verify.recount import Recount
from sinks.keys import Keys
from sinks.redis_clients.shards import client_of
from sinks.statistics.store import types_of
from sinks.statistics.stored import check_types, parse_counts, parse_word_counts

SCAN_COUNT = 10_000
MAX_DIFFERENCES = 50
COUNT_KEYS = ("totals", "lengths", "reasons", "sources", "languages", "tlds", "days", "df_words", "df_tokens")


def differences(client: Redis, keys: Keys, recounted: Recount) -> list[str]:
    """What Redis holds differently from the recount, by name; empty when all is equal. At most MAX_DIFFERENCES."""
    found: list[str] = []
    for line in _all(client, keys, recounted):
        found.append(line)
        if len(found) >= MAX_DIFFERENCES:
            found.append("… and perhaps more")
            break
    return found


def _all(client: Redis, keys: Keys, recounted: Recount) -> Iterator[str]:
    parts = keys.shards or [keys]
    for part in (keys, *keys.shards):
        check_types(client_of(client, part), types_of(part))
    for name in COUNT_KEYS:
        yield from _fields(name, _hash(client, getattr(keys, name)), recounted.counts[name])
    tf = dict(zip(recounted.words["word"].to_pylist(), recounted.words["tf"].to_pylist(), strict=True))
    df = dict(zip(recounted.words["word"].to_pylist(), recounted.words["df"].to_pylist(), strict=True))
    entries: dict[str, bytes] = {}
    for part in parts:
        entries |= _words(client_of(client, part), part.words)
    held = parse_word_counts(keys.words, list(entries.values()))
    for number, (name, right) in enumerate((("tf", tf), ("df", df))):
        yield from _fields(name, dict(zip(entries, held[:, number].tolist(), strict=True)), right)
    if keys.shards:
        copies = _words(client, keys.words)
        for word in sorted(copies):
            if copies[word] != entries.get(word):
                yield f"ranked {word}: {copies[word]!r} in Redis, {entries.get(word)!r} in its shard"
    ranked = cast("list[tuple[bytes, float]]", client.zrange(keys.top, 0, -1, withscores=True))
    wanted = sorted(tf.items(), key=lambda item: (-item[1], item[0].encode()))[: len(ranked)]
    if len(ranked) > len(wanted):
        yield f"top: {counted(len(ranked), 'word is', 'words are')} ranked, of {len(wanted):,}"
    for (stored, score), (right_word, right_tf) in zip(ranked, wanted, strict=False):
        word = stored.decode(errors="backslashreplace")
        if (word, -score) != (right_word, right_tf):
            yield f"top: {word!r} ({-score:.0f}) stands where {right_word!r} ({right_tf}) belongs"


def _fields(name: str, stored: Mapping[str, int], right: Mapping[str, int]) -> Iterator[str]:
    for field in sorted(stored.keys() | right.keys()):
        if stored.get(field, 0) != right.get(field, 0):
            shown = field.replace("\t", " ")
            yield f"{name} {shown}: {stored.get(field, 0):,} in Redis, {right.get(field, 0):,} in the documents"


def _words(client: Redis, key: str) -> dict[str, bytes]:
    scanned = client.hscan_iter(key, count=SCAN_COUNT)
    return {word.decode(errors="backslashreplace"): entry for word, entry in scanned}


def _hash(client: Redis, key: str) -> dict[str, int]:
    return parse_counts(key, dict(client.hscan_iter(key, count=SCAN_COUNT)))
