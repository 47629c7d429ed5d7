"""Fenced: by another producer that has taken the source over, or by the broker that aborted a slow transaction?

Both look the same to the client. Who takes a source over commits a marker with its name first of all (the claim), so it
is to be found in the progress topic soon; and a transaction younger than its timeout was not aborted by the broker.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError

from producers.topic.markers import Marker, ProgressError, ProgressReader
from producers.transaction import Transaction

FENCED = (ProducerFencedError, InvalidProducerEpochError)
# How long a producer that takes a source over may need until its claim is committed.
CLAIM_S = 3.0
# Fenced so often in transactions that were not old, it was somebody, even if no claim was found.
SURELY = 3


def is_fencing(error: Exception) -> bool:
    """Whether this error says that a newer producer of the same name exists."""
    # Once fenced, the client answers every further call with an error that only names the first one.
    return isinstance(error, FENCED) or any(kind.__name__ in str(error) for kind in FENCED)


@dataclass(slots=True)
class Attempt:
    """What an attempt leaves for the judgement of its error: the owner it found, and its transaction."""

    found_owner: str = ""
    transaction: Transaction | None = None

    def is_young(self, timeout_ms: int) -> bool:
        """Whether its open transaction, if any, is younger than the broker's timeout."""
        began = time.time() if self.transaction is None else self.transaction.began
        return time.time() - began < timeout_ms / 1000


def find_claim(
    reader: ProgressReader, source: str, known_owners: set[str], sleep: Callable[[float], None]
) -> Marker | None:
    """The marker by which another producer claims the source, waited for a little; None: there is none."""
    deadline = time.monotonic() + CLAIM_S
    while time.monotonic() < deadline:
        try:
            marker = reader.glance().get(source)
        except (KafkaError, ProgressError):
            return None
        if marker is not None and marker.owner not in known_owners:
            return marker
        sleep(0.1)
    return None
