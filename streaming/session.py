"""The Spark session: one for the process, with what the stream needs and nothing that depends on the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from conf.settings import Settings


def start_session(settings: Settings, *, java_home: Path | None, jars: list[Path]) -> SparkSession:
    """Start Spark with the Kafka connector. `java_home` None: as the environment says. It logs below `home`/spark.

    Environment variables that PySpark reads are set here, because they can be given in no other way.
    """
    if java_home is not None:
        os.environ["JAVA_HOME"] = str(java_home)
    # Else the workers would be whatever `python3` is on the executors' PATH.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    log_configuration = _log_configuration(settings.home / "spark")
    local = settings.stream.master.startswith("local")
    java_options = [f"-Dlog4j2.configurationFile={log_configuration}"]
    if local:
        _stand_back(settings.stream.niceness)
        # The work is done in Python, beside the JVM: on the same cores, its second compiler takes more than it gives
        # back, even after gigabytes (CPU of the JVM for each of the Python workers: 0.85 against 0.90, 1.3 at first).
        java_options.append("-XX:TieredStopAtLevel=1")
    builder = (
        SparkSession.builder.appName(f"wetstream-{settings.pipeline}")
        .master(settings.stream.master)
        .config("spark.jars", ",".join(str(jar) for jar in jars))
        .config("spark.driver.memory", settings.stream.driver_memory)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", str(shuffle_partitions(settings)))
        # The sums are small, and their number of partitions is known: adapting would cost a job a micro-batch.
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", str(settings.stream.arrow_batch_records))
        .config("spark.sql.execution.arrow.maxBytesPerBatch", str(settings.stream.arrow_batch_bytes))
        .config("spark.sql.streaming.forceDeleteTempCheckpointLocation", "true")
        .config("spark.sql.warehouse.dir", (settings.home / "spark" / "warehouse").as_uri())
        .config("spark.driver.extraJavaOptions", " ".join(java_options))
    )
    if local:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    return builder.getOrCreate()


def _stand_back(niceness: int) -> None:
    """Let whoever answers queries go first on the cores of this machine: this process and all that it starts later.

    With two busy cores, half of the API's answers took 9 ms, and with niceness 5 ms: as long as on an idle machine.
    """
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))


def shuffle_partitions(settings: Settings) -> int:
    """Partitions of the sums: one a core, as far as that is known here."""
    return settings.stream.min_partitions or os.cpu_count() or 2


def _log_configuration(folder: Path) -> str:
    """Spark's log in a file of its own, so that the terminal shows what a person wants to see."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "log4j2.properties"
    log_file = folder / "spark.log"
    configuration.write_text(
        f"""rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log_file}
appender.file.filePattern = {log_file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
""",
        encoding="utf-8",
    )
    return configuration.as_uri()
