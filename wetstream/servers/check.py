"""What `doctor` checks for, and the result of one check."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Needs:
    """What a pipeline needs of its servers: names, and limits of the settings."""

    pipeline: str = "main"
    records_topic: str = "main.wet-records"
    progress_topic: str = "main.wet-progress"
    max_memory_mb: int = 0


@dataclass(frozen=True)
class Check:
    """The result of one check; `warn` and `fail` carry a remedy.

    `warn`: it works, but slowly or less safely. `fail`: something will not work.
    """

    name: str
    level: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether wetstream can work with this."""
        return self.level != "fail"
