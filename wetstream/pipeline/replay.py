"""A replay as a person runs it: with progress, an orderly end on Ctrl-C, and the switch at its end."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from conf.errors import ExplainedError
from conf.profiles import Profile
from conf.settings import Settings
from producers.sources.source import Source
from sinks.documents.generations import Generations
from streaming.replay import FilesProgress, Replay, ReplayResult, switch
from wetstream.commands.display import Display
from wetstream.pipeline.connections import Servers, open_redis
from wetstream.pipeline.ingest import stopping
from wetstream.pipeline.spark_session import connect


def replay(
    settings: Settings,
    profile: Profile,
    servers: Servers,
    sources: Sequence[Source],
    display: Display,
    *,
    switch_over: bool,
) -> tuple[ReplayResult, bool]:
    """Fill a new generation from WET files and the topic; returns what it holds, and whether it is the live one now.

    Interrupted, the same replay goes on where it stopped. Raises what the replay raises.
    """
    run = _Run(settings, profile, servers, sources, display)
    with stopping(threading.Event(), display.stopping, run.stop):
        result = run.join()
    whole = result.complete and not run.stopped
    if whole and switch_over:
        result.records = switch(settings, open_redis(servers.redis_url), result.generation)
    return result, whole and switch_over


def refuse_other_rules(settings: Settings, profile: Profile) -> None:
    """Raise ExplainedError if these are not the rules of the live documents."""
    found = Generations(settings.documents_path, settings.pipeline).open_live()
    stored = {} if found is None else found.documents.properties
    if stored and stored.get("rules_hash") != profile.rules_hash:
        raise ExplainedError(
            f"the documents hold the words that {stored.get('profile')} has kept, not the pages: other "
            "rules need the pages again, `wetstream replay --from topic` or `--from files SOURCE...`"
        )


class _Run:
    """The replay in a thread of its own: in the main thread Spark would take the signals."""

    def __init__(
        self, settings: Settings, profile: Profile, servers: Servers, sources: Sequence[Source], display: Display
    ) -> None:
        self._replay: Replay | None = None
        self._result: ReplayResult | None = None
        self._error: BaseException | None = None
        self.stopped = False

        def files(progress: FilesProgress) -> None:
            display.note(f"read {progress.sources:,} of {progress.of:,} files, {progress.records:,} records")

        def work() -> None:
            try:
                connections = connect(settings, profile, servers, display.note)
                replay = Replay(settings, profile, connections, sources, on_progress=display.progress, on_files=files)
                self._replay = replay
                if self.stopped:
                    replay.stop()
                display.note("replaying")
                self._result = replay.run()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=work, name="wetstream-replay")
        self._thread.start()

    def stop(self) -> None:
        self.stopped = True
        if self._replay is not None:
            self._replay.stop()

    def join(self) -> ReplayResult:
        while self._thread.is_alive():
            self._thread.join(0.2)
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result
