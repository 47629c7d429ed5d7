"""Sets of documents and what they add up to, made small and at random."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import Redis

from sinks.keys import Keys, build_prefix
from sinks.statistics.store import Statistics


@pytest.fixture
def make_statistics(redis_client: Redis, request: pytest.FixtureRequest) -> Callable[..., Statistics]:
    """Statistics under a prefix of the test's own; emptied at each call with `fresh`."""

    def make(*, chunk_words: int = 3, top_words: int = 5, fresh: bool = True) -> Statistics:
        keys = Keys(build_prefix(request.node.name, "g", 1))
        if fresh:
            redis_client.delete(*keys.all())
        return Statistics(redis_client, keys, chunk_words=chunk_words, top_words=top_words)

    return make
