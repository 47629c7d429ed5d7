"""Telling apart why a producer was fenced: a rival took its source over, or the broker aborted a slow transaction.

Both errors look the same to the client. A rival commits a marker with its own name first of all (its claim), so that
marker soon appears in the progress topic; and the broker does not abort a transaction younger than its timeout.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError

from producers.source_producer import SourceProducer
from producers.topic.markers import Marker, MarkerReader, ProgressError

FENCED = (ProducerFencedError, InvalidProducerEpochError)
# How long a rival may need to commit its claim.
CLAIM_S = 3.0
# After this many fencings of young transactions it was a rival, even if its claim was not found.
FENCINGS_WITHOUT_CLAIM = 3


def is_fencing(error: Exception) -> bool:
    """Whether this error says that a newer producer of the same transactional id exists."""
    # Once fenced, the client wraps the error of every further call in one that only names the first.
    return isinstance(error, FENCED) or any(kind.__name__ in str(error) for kind in FENCED)


@dataclass(slots=True)
class Attempt:
    """What is needed to judge the error of an attempt: the previous owner of the source, and this one's producer."""

    found_owner: str = ""
    producer: SourceProducer | None = None

    def is_young(self, timeout_ms: int) -> bool:
        """Whether its open transaction, if any, is younger than the broker's timeout."""
        began = time.time() if self.producer is None else self.producer.began
        return time.time() - began < timeout_ms / 1000


def wait_for_claim(
    reader: MarkerReader, source: str, known_owners: set[str], sleep: Callable[[float], None]
) -> Marker | None:
    """The marker with which a rival claims the source; None when none appears within CLAIM_S."""
    deadline = time.monotonic() + CLAIM_S
    while time.monotonic() < deadline:
        try:
            marker = reader.read_to_last_stable_offset().get(source)
        except (KafkaError, ProgressError):
            return None
        if marker is not None and marker.owner not in known_owners:
            return marker
        sleep(0.1)
    return None
