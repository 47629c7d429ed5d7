"""A Kafka producer that never sends the end of a transaction twice under one epoch.

kafka-python speaks the transaction protocol from before KIP-890 and repeats an `EndTxn` whose connection was lost. If
the first request was only delayed, the repeated one commits, the next transaction begins under the same epoch, and the
delayed one then commits whatever part of that transaction the broker has (Jepsen: Bufstream 0.1.0). Here an `EndTxn`
that is not answered with success ends the producer instead. Its successor gets a new epoch from `init_transactions`,
which fences the delayed request, and reads from the topic which of the two happened.
"""

from __future__ import annotations

import contextlib
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.transaction_manager import EndTxnHandler


class UnknownOutcomeError(KafkaError):
    """The broker may have ended the transaction or not; only a new producer can find out."""


class _EndTxnOnce(EndTxnHandler):
    """Fails where the client's own handler would send the request again."""

    def reenqueue(self) -> None:
        self.fatal_error(UnknownOutcomeError("the end of the transaction was sent but not confirmed"))


class TransactionalProducer(KafkaProducer):
    """A KafkaProducer with a transactional id, for one `init_transactions`.

    After any error, close it and continue with a new one.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        manager = self._transaction_manager

        def end_transaction(committed: bool) -> Any:
            if manager._new_partitions_in_transaction:
                manager._enqueue_request(manager._add_partitions_to_transaction_handler())
            handler = _EndTxnOnce(manager, committed)
            manager._enqueue_request(handler)
            return handler.result

        manager._begin_completing_transaction = end_transaction

    def abandon(self) -> None:
        """Close without sending or waiting for anything more. An open transaction is left to the successor."""
        # `close` first flushes, and keeps the producer running when that fails.
        with contextlib.suppress(KafkaError):
            self.close(timeout=0)
        self._sender.force_close()
