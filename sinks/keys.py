"""Every Redis key, defined once.

`ws:{main}:live` holds the key prefix of the statistics that readers use; each build of the statistics has a prefix of
its own, `ws:{main}:<generation>.<build>:`. A rebuild fills a new build and updates `live` at its end, so readers never
see a partial one. The braces are a hash tag: they keep a pipeline in one slot of a Redis Cluster, so that a transaction
may touch all of its keys.

A build with its words in N shards (setting `redis.word_shards`) says so in its prefix: `…<generation>.<build>xN:`.
Shard n has a hash tag, and so a slot, of its own: `ws:{main#n}:<generation>.<build>xN:`. It holds `words` and their
`df_words`, `df_tokens` and `totals`, candidates for `top`, and a `position` and `commit` of its own. The keys of the
build itself hold everything else, and in `words` copies of the ranked words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SHARDED = re.compile(r"^ws:\{([^}#]*)\}:[^:]*\.\d+x(\d{1,4}):$")

STATISTICS = (
    "words",  # HASH   word -> `<tf> <df>` (one hash takes half the memory and time of two)
    "top",  # ZSET   the most frequent words, score = -tf: `ZRANGE … 0 9 WITHSCORES` returns the first ten
    "df_words",  # HASH   document frequency -> words that have it
    "df_tokens",  # HASH   document frequency -> tokens of the words that have it
    "totals",  # HASH   records, documents, tokens, words, payload_bytes
    "lengths",  # HASH   length in tokens -> documents
    "reasons",  # HASH   reason -> rejected records
    "sources",  # HASH   `<count>\t<source>` or `rejected\t<reason>\t<source>` -> n
    "languages",  # HASH   `pages\t<code>`, `documents\t<code>` -> n
    "tlds",  # HASH   `pages\t<top-level domain>`, `documents\t…` -> n
    "days",  # HASH   `pages\t<day of the crawl, UTC>`, `documents\t…` -> n
    "position",  # STRING JSON: the position of the documents table that is counted here
    "commit",  # HASH   a micro-batch half applied: finish (its end position), last (word), `moves <chunk>`
    "as_of",  # HASH   time (Unix seconds) of the last commit, profile, `Owner`; ranks: `stale` until ranked again
)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one build of statistics, as attributes named as in STATISTICS."""

    prefix: str

    def __getattr__(self, name: str) -> str:
        if name not in STATISTICS:
            raise AttributeError(name)
        return f"{self.prefix}{name}"

    @property
    def fresh_top(self) -> str:
        """ZSET that replaces `top` once it is complete."""
        return f"{self.prefix}top.fresh"

    def all(self) -> list[str]:
        """All keys of STATISTICS, in that order."""
        return [f"{self.prefix}{name}" for name in STATISTICS]

    @property
    def shards(self) -> list[Keys]:
        """Keys of the shards that hold the words; none if they are in `words` of this build itself."""
        found = SHARDED.match(self.prefix)
        if found is None:
            return []
        rest = self.prefix.partition("}")[2]
        return [Keys(f"ws:{{{shard_tag(found[1], number)}}}{rest}") for number in range(int(found[2]))]


def shard_tag(pipeline: str, number: int) -> str:
    """Hash tag of a shard's keys; no pipeline can have this name."""
    return f"{pipeline}#{number}"


def build_prefix(pipeline: str, generation: str, build: int, shards: int = 1) -> str:
    """Prefix of one build of a generation's statistics."""
    suffix = f"x{shards}" if shards > 1 else ""
    return f"{_pipeline_prefix(pipeline)}{generation}.{build}{suffix}:"


def pipeline_pattern(pipeline: str) -> str:
    """Pattern for SCAN that matches every key of a pipeline."""
    return f"{_pipeline_prefix(pipeline)}*"


def shards_pattern(pipeline: str) -> str:
    """Pattern that matches every key of a pipeline's shards."""
    return f"{_pipeline_prefix(shard_tag(pipeline, 0).rstrip('0') + '*')}*"


def live_key(pipeline: str) -> str:
    """STRING: the prefix of the statistics that readers use."""
    return f"{_pipeline_prefix(pipeline)}live"


def generations_key(pipeline: str) -> str:
    """HASH: generation -> prefix of its statistics, live or not."""
    return f"{_pipeline_prefix(pipeline)}generations"


def builds_key(pipeline: str) -> str:
    """SET: the prefixes of all builds that were started and not yet expired."""
    return f"{_pipeline_prefix(pipeline)}builds"


def build_number_key(pipeline: str) -> str:
    """STRING: the number of the last build that was started."""
    return f"{_pipeline_prefix(pipeline)}builds:number"


def lease_key(pipeline: str) -> str:
    """STRING: the writer lease."""
    return f"{_pipeline_prefix(pipeline)}writer"


def replay_lease_key(pipeline: str) -> str:
    """STRING: the lease of a replay, which fills a generation other than the live one."""
    return f"{_pipeline_prefix(pipeline)}replayer"


def changes_key(pipeline: str) -> str:
    """STRING: the lease for removing sources or switching generations; one such change at a time."""
    return f"{_pipeline_prefix(pipeline)}changes"


def requests_key(pipeline: str) -> str:
    """LIST: requests to the writer, handled between two micro-batches (`sinks.requests`)."""
    return f"{_pipeline_prefix(pipeline)}requests"


def answer_key(pipeline: str, request_id: str) -> str:
    """LIST: the writer's answer to one request."""
    return f"{_pipeline_prefix(pipeline)}requests:{request_id}"


def status_key(pipeline: str) -> str:
    """HASH: lag and rates of the running stream; expires when the stream stops."""
    return f"{_pipeline_prefix(pipeline)}status"


def batches_key(pipeline: str) -> str:
    """LIST: the last micro-batches, newest first (JSON, see `sinks.observations`)."""
    return f"{_pipeline_prefix(pipeline)}batches"


def growth_key(pipeline: str) -> str:
    """LIST: points of the vocabulary growth curve, oldest first (JSON)."""
    return f"{_pipeline_prefix(pipeline)}growth"


def counters_key(pipeline: str) -> str:
    """HASH: totals over all observed micro-batches: batches, rows, seconds by phase."""
    return f"{_pipeline_prefix(pipeline)}counters"


def probe_key(pipeline: str, probe_id: str) -> str:
    """Beginning of the keys on which `doctor` tries what it may do; they are deleted at once."""
    return f"{_pipeline_prefix(pipeline)}doctor:{probe_id}"


def key_types(pipeline: str) -> dict[str, str]:
    """Redis types of the keys that a pipeline has besides its statistics, by key."""
    return {
        live_key(pipeline): "string",
        generations_key(pipeline): "hash",
        builds_key(pipeline): "set",
        build_number_key(pipeline): "string",
        lease_key(pipeline): "string",
        replay_lease_key(pipeline): "string",
        changes_key(pipeline): "string",
        requests_key(pipeline): "list",
        status_key(pipeline): "hash",
        batches_key(pipeline): "list",
        growth_key(pipeline): "list",
        counters_key(pipeline): "hash",
    }


def _pipeline_prefix(pipeline: str) -> str:
    return f"ws:{{{pipeline}}}:"
