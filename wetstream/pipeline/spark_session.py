"""Everything that a stream needs, put together: profile, servers, Spark."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from conf.profiles import Profile, load_profile
from conf.settings import Settings
from sinks.documents.generations import Generations, Rules
from streaming.fused import warm_up
from streaming.query import BatchProgress
from streaming.session import start_session
from streaming.stream import Connections, Stream
from wetstream.pipeline.connections import Servers, open_redis
from wetstream.servers.java.jars import default_cache, obtain_jars
from wetstream.servers.java.runtime import find_java
from wetstream.servers.java.spark_runtime import quiet_java

DEFAULT_PROFILE = "english"


def pipeline_profile(settings: Settings, *, anew: bool = False) -> Profile:
    """The profile to use: the one asked for, else the one that the pipeline was made with, else the default.

    Raises ProfileError, and DocumentsError when the pipeline was made with other rules than asked for, unless all is
    made `anew`.
    """
    generations = Generations(settings.documents_path, settings.pipeline)
    found = generations.open_live()
    stored = found.documents.properties.get("profile") if found else None
    asked = settings.profile or stored or DEFAULT_PROFILE
    path = Path(asked)
    name = str(path.resolve()) if path.suffix == ".toml" else asked
    # The generation keeps this name: a path has to mean the same file whoever starts the next stream, and from where.
    profile = replace(load_profile(name), name=name)
    if found is not None and not anew:
        generations.check_rules(found.documents, Rules(profile.name, profile.rules_hash))
    return profile


def start_stream(
    settings: Settings,
    profile: Profile,
    servers: Servers,
    on_progress: Callable[[BatchProgress], None],
    log: Callable[[str], None],
) -> Stream:
    """A stream that is ready to run; starts Spark, which takes some seconds."""
    return Stream(settings, profile, connect(settings, profile, servers, log), on_progress=on_progress)


def connect(settings: Settings, profile: Profile, servers: Servers, log: Callable[[str], None]) -> Connections:
    """Spark, started, and a Redis that has answered."""
    # While Java starts: on a machine that is new to it, the kernel has to be compiled (once, for all workers).
    threading.Thread(target=warm_up, args=(profile,), name="wetstream-warm-up", daemon=True).start()
    java = find_java(settings.home)
    jars = obtain_jars(default_cache(), java, log)
    redis = open_redis(servers.redis_url)
    java_home = quiet_java(java.executable, settings.home / "spark")
    spark = start_session(settings, java_home=java_home, jars=jars.connector)
    return Connections(servers.bootstrap_servers, redis, spark)
