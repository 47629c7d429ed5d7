"""The generations of a pipeline, and which of them is live.

A generation is a documents table in a folder of its own, with its own positions and profile. The pointer file
`live.json` beside these folders names the live one. It is written to a temporary file and renamed, so it is always
complete.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from conf.crash_points import crash_point
from conf.profiles import Rules
from sinks.documents.errors import DocumentsError
from sinks.documents.log import PIPELINE_ID
from sinks.documents.table import Documents

POINTER = "live.json"
FIRST = "g1"
NAME = re.compile(r"g[1-9]\d{0,8}")
ORIGIN = "origin"  # property of a generation made by a replay: what it is made from, as JSON


@dataclass(frozen=True, slots=True)
class Generation:
    """A documents table and its name, which is that of its folder."""

    name: str
    documents: Documents


class Generations:
    """The generations of one pipeline, in the folder `<documents>/<pipeline>/`."""

    def __init__(self, documents_path: Path, pipeline: str) -> None:
        self.folder = documents_path / pipeline
        self._pipeline = pipeline

    def live(self) -> str | None:
        """Return the name of the live generation; None before the first start.

        Raises:
            DocumentsError: The pointer file is damaged, or cannot be read.
        """
        pointer = self.folder / POINTER
        try:
            return _parse_pointer(pointer.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            names = ", ".join(self.names()) or "none"
            raise DocumentsError(
                f'{pointer} is damaged: write {{"generation": "NAME"}} into it, naming one of the folders beside it '
                f"({names})"
            ) from None
        except IsADirectoryError:
            raise DocumentsError(
                f'{pointer} is a folder: move it away, and write a file with the content {{"generation": "NAME"}} '
                f"instead, naming one of the folders beside it ({', '.join(self.names()) or 'none'})"
            ) from None
        except OSError as error:
            raise _unusable(self.folder, "read", error) from error

    def pipeline_id(self) -> str | None:
        """Id that all generations share; None before there is one.

        Raises:
            DocumentsError: A generation cannot be read.
        """
        names = [name for name in (self.live(), *self.names()) if name is not None]
        return self.open(names[0]).documents.pipeline_id if names else None

    def path(self, generation: str) -> Path:
        """Folder of a generation's documents table."""
        return self.folder / generation

    def open(self, name: str) -> Generation:
        """Open a generation.

        Raises:
            DocumentsError: It does not exist, or its table cannot be read.
        """
        return Generation(name, Documents.open(self.path(name)))

    def open_live(self) -> Generation | None:
        """Open the live generation; None before the first start.

        Raises:
            DocumentsError: The pointer file is damaged, or the table cannot be read.
        """
        name = self.live()
        return None if name is None else self.open(name)

    def open_or_create(self, rules: Rules) -> Generation:
        """Open the live generation; create it before the first start.

        Raises:
            DocumentsError: The live generation was made with other rules, or cannot be read.
        """
        found = self.open_live()
        if found is None:
            # A replay may already be filling a generation, which becomes live when it is complete.
            name = FIRST if not self._is_replay(FIRST) else self._next()
            generation = self._create(name, rules)
            crash_point("before-pointer")
            self.point_to(name)
            return generation
        self.check_rules(found.documents, rules)
        return found

    def names(self) -> list[str]:
        """Names of all generations that have a folder, oldest first."""
        folders = self.folder.glob("g*") if self.folder.is_dir() else []
        numbers = (int(path.name[1:]) for path in folders if NAME.fullmatch(path.name) and _has_log(path))
        return [f"g{number}" for number in sorted(numbers)]

    def create_next(self, rules: Rules) -> Generation:
        """Create an empty generation that is not live."""
        return self._create(self._next(), rules)

    def drop(self, generation: str) -> None:
        """Delete a generation's documents.

        Raises:
            DocumentsError: It is the live generation, or does not exist.
        """
        if generation not in self.names():
            raise DocumentsError(f"there is no generation {generation}: `wetstream generations list` names them")
        if generation == self.live():
            raise DocumentsError(f"{generation} is the live generation: switch to another one first")
        # Renamed first: if this is interrupted, what is left is no generation any more, and the next drop deletes it.
        self.path(generation).rename(self.folder / f".dropped-{uuid.uuid4().hex}")
        for dropped in self.folder.glob(".dropped-*"):
            shutil.rmtree(dropped)

    def check_rules(self, documents: Documents, rules: Rules) -> None:
        """Check that the documents were made with these rules.

        Raises:
            DocumentsError: They were made with other rules.
        """
        stored = documents.properties
        if stored.get("rules_hash") == rules.rules_hash:
            return
        other = stored.get("profile")
        what = f"profile {other}, not {rules.profile}" if other != rules.profile else f"other rules of {other}"
        raise DocumentsError(
            f"pipeline {self._pipeline} was made with {what}: its documents would not fit together. Continue with "
            f"--profile {other}, give the new rules a pipeline of their own (--pipeline NAME), or apply them to the "
            f"past with `wetstream replay --profile {rules.profile}`"
        )

    def point_to(self, generation: str) -> None:
        """Make a generation the live one."""
        temporary = self.folder / f".{POINTER}.{uuid.uuid4().hex}"
        try:
            with temporary.open("w") as file:
                json.dump({"generation": generation}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / POINTER)
        except OSError as error:
            raise _unusable(self.folder, "written", error) from error

    def _next(self) -> str:
        return f"g{max((int(name[1:]) for name in self.names()), default=0) + 1}"

    def _is_replay(self, generation: str) -> bool:
        return generation in self.names() and ORIGIN in Documents.open(self.path(generation)).properties

    def _create(self, name: str, rules: Rules) -> Generation:
        path = self.path(name)
        if _has_log(path):
            # Without a pointer and without documents, it is left over from an interrupted start.
            if not Documents.open(path).is_empty:
                raise DocumentsError(
                    f"{path} holds documents, but {self.folder / POINTER} is missing: restore it with the content "
                    f'{{"generation": "{name}"}}, or move the folder away to start from scratch'
                )
        elif any(path.glob("*.parquet")):
            raise DocumentsError(
                f"{path} holds Parquet files but no Delta log: restore {path / '_delta_log'} from a backup, or move "
                "the folder away to start from scratch"
            )
        try:
            if path.exists():
                shutil.rmtree(path)
            path.mkdir(parents=True)
        except OSError as error:
            raise _unusable(path, "created", error) from error
        properties = {
            PIPELINE_ID: self.pipeline_id() or uuid.uuid4().hex[:16],
            "pipeline": self._pipeline,
            "generation": name,
            "profile": rules.profile,
            "rules_hash": rules.rules_hash,
        }
        return Generation(name, Documents.create(path, properties))


def _parse_pointer(content: bytes) -> str:
    """Return the name in a pointer file; raise ValueError if there is none."""
    pointer = json.loads(content)
    name = pointer.get("generation") if isinstance(pointer, dict) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(name)
    return name


def _unusable(path: Path, verb: str, error: OSError) -> DocumentsError:
    return DocumentsError(
        f"the documents folder {path} cannot be {verb} ({error.strerror}): correct documents.path, or the permissions "
        "of that folder"
    )


def _has_log(path: Path) -> bool:
    return any((path / "_delta_log").glob("0*"))
