"""The Spark session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from conf.setting_sources import SettingsError
from conf.settings import load_settings
from streaming.errors import StreamError
from streaming.session import configuration, start_session, task_slots, worker_python
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java


def test_local_workers_yield_to_query_serving_processes(spark: SparkSession) -> None:
    wanted = load_settings(flags={}, environ={}).stream.niceness

    def niceness(_: int) -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    found = spark.sparkContext.parallelize([0], 1).map(niceness).collect()
    assert wanted > 0 and found == [max(wanted, os.getpriority(os.PRIO_PROCESS, 0))]


def test_the_environment_is_as_it_was_when_the_session_has_started(spark: SparkSession, tmp_path: Path) -> None:
    before = dict(os.environ)
    start_session(load_settings(flags={"home": str(tmp_path)}, environ={}), java_home=Path("/no/java"), jars=[])
    assert dict(os.environ) == before and os.environ.get("PYSPARK_PYTHON") != sys.executable
    assert spark.sparkContext.pythonExec == sys.executable


def test_tasks_are_planned_from_the_cores_of_the_executors(spark: SparkSession) -> None:
    settings = load_settings(flags={}, environ={})
    assert task_slots(spark, settings) == spark.sparkContext.defaultParallelism
    assert task_slots(spark, load_settings(flags={"stream.min_partitions": 7}, environ={})) == 7
    assert spark.conf.get("spark.sql.shuffle.partitions") == str(spark.sparkContext.defaultParallelism)


def test_any_property_of_spark_overrides_ours(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[spark]\n"spark.executor.memory" = "4g"\nui.enabled = true\n"spark.driver.extraJavaOptions" = "-Dx=y"\n'
    )
    flags = {"spark.speculation": "true", "spark.speculation.quantile": "0.9", "home": str(tmp_path)}
    found = configuration(load_settings(file, flags=flags, environ={}), [])
    assert found["spark.executor.memory"] == "4g" and found["spark.ui.enabled"] == "true"
    assert found["spark.speculation"] == "true" and found["spark.speculation.quantile"] == "0.9"
    assert (
        found["spark.driver.extraJavaOptions"].endswith(" -Dx=y") and "log4j2" in found["spark.driver.extraJavaOptions"]
    )
    assert found["spark.sql.adaptive.enabled"] == "false"
    with pytest.raises(SettingsError, match=r"stream\.master"):
        load_settings(flags={"spark.master": "local"}, environ={})
    with pytest.raises(SettingsError, match="spark"):
        load_settings(flags={"spark": "local"}, environ={})


def test_local_session_is_closed_to_other_users(tmp_path: Path) -> None:
    found = configuration(load_settings(flags={"home": str(tmp_path)}, environ={}), [])
    assert found["spark.authenticate"] == "true" and found["spark.ui.enabled"] == "false"
    assert found["spark.driver.bindAddress"] == "127.0.0.1"
    remote = load_settings(flags={"home": str(tmp_path), "stream.master": "spark://127.0.0.1:7077"}, environ={})
    assert "spark.driver.host" not in configuration(remote, [])


def test_invalid_master_is_named(tmp_path: Path) -> None:
    """In a process of its own: this one has its session already."""
    program = f"""
from conf.settings import load_settings
from streaming.session import start_session
try:
    start_session(load_settings(flags={{"home": {str(tmp_path)!r}, "stream.master": "yarn"}}), java_home=None, jars=[])
except Exception as error:
    print(type(error).__name__, error)
"""
    java = find_java(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"JAVA_HOME": str(quiet_java(java.executable, tmp_path))},
    )
    assert done.stdout.startswith("StreamError") and "stream.master = yarn" in done.stdout, done.stdout + done.stderr


def test_executors_of_a_cluster_run_from_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "wetstream.tar.gz"
    archive.touch()
    flags = {"home": str(tmp_path), "stream.master": "spark://127.0.0.1:7077", "stream.archive": str(archive)}
    settings = load_settings(flags=flags | {"spark.archives": "more.zip#more"}, environ={})
    assert configuration(settings, [])["spark.archives"] == f"{archive.as_uri()}#wetstream,more.zip#more"
    assert worker_python(settings) == "./wetstream/bin/python"
    assert worker_python(load_settings(flags=flags | {"spark.pyspark.python": "/p"}, environ={})) == "/p"
    url = load_settings(flags=flags | {"stream.archive": "hdfs://nn/ws.tar.gz"}, environ={})
    assert configuration(url, [])["spark.archives"] == "hdfs://nn/ws.tar.gz#wetstream"
    with pytest.raises(StreamError, match=r"stream\.archive names /no/file, which is not there"):
        configuration(load_settings(flags=flags | {"stream.archive": "/no/file"}, environ={}), [])
    # On this machine there is nothing to unpack.
    local = load_settings(flags={"home": str(tmp_path), "stream.archive": "/no/file"}, environ={})
    assert "spark.archives" not in configuration(local, []) and worker_python(local) == sys.executable
