"""What a stream talks to."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import SparkSession
from redis import Redis

from conf.addresses import BootstrapServers


@dataclass(frozen=True, slots=True)
class Connections:
    """The servers of a run and its Spark session. `bootstrap_servers` is empty where there is no Kafka."""

    bootstrap_servers: BootstrapServers
    redis: Redis
    spark: SparkSession
