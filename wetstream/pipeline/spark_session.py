"""Spark and Redis, started and connected for one pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from conf.profiles import Profile
from conf.settings import Settings
from streaming.connections import Connections
from streaming.session import check_connector, is_submitted, start_session
from streaming.tasks.fused import warm_up
from wetstream.pipeline.connections import Servers, open_redis
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java
from wetstream.servers.state import prepare_home


def connect(settings: Settings, profile: Profile, servers: Servers, log: Callable[[str], None]) -> Connections:
    """Start Spark, which takes some seconds, and open Redis.

    Raises:
        ServerError: There is no Java, no connector, or Redis does not answer.
    """
    # While Java starts: on a machine that is new to it, the kernel has to be compiled (once, for all workers).
    threading.Thread(target=warm_up, args=(profile,), name="wetstream-warm-up", daemon=True).start()
    # A command that waits for longer would outlast the limit of the stream, which repeats it itself.
    redis = open_redis(
        servers.redis, settings.pipeline, timeout_s=min(60, max(5, settings.stream.retry_s / 4)), retries=1
    )
    spark = start_spark(settings, log)
    if servers.bootstrap_servers:
        check_connector(spark)
    return Connections(servers.bootstrap_servers, redis, spark)


def start_spark(settings: Settings, log: Callable[[str], None]) -> SparkSession:
    """Start Spark. Raises ServerError, StreamError."""
    prepare_home(settings.home)
    java_home, jars = (None, []) if is_submitted() else _java(settings, log)
    log("starting Spark")
    return start_session(settings, java_home=java_home, jars=jars)


def _java(settings: Settings, log: Callable[[str], None]) -> tuple[Path, list[Path]]:
    """The JAVA_HOME for a Spark of our own, and the jars of the Kafka connector."""
    java = find_java(settings.home)
    jars = obtain_jars(default_cache(), java, log)
    return quiet_java(java.executable, settings.home / "spark"), jars.connector
