"""What one check of `wetstream doctor` says."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """`warn` works but slower, or less safely; with `fail` something will not work. Both tell the remedy."""

    name: str
    level: Literal["ok", "warn", "fail"]
    detail: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether wetstream can work with this."""
        return self.level != "fail"
