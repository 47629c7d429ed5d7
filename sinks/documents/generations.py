"""The generations of a pipeline, and which of them is live.

A generation is a documents table in a folder of its own, with its own positions and profile. The pointer file
`live.json` beside these folders names the live one. It is replaced atomically, and only by a process that knows its
current content, so none overwrites the choice of another.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from conf.crash_points import crash_point
from conf.profiles import Profile, Rules, load_profile, profile_name
from conf.settings import Settings
from sinks.documents.errors import DocumentsError, FencedError
from sinks.documents.log import PIPELINE_ID
from sinks.documents.table import Documents
from sinks.storage.errors import UnavailableError
from sinks.storage.folder import Folder
from sinks.storage.locate import documents_location
from sinks.storage.location import ConflictError, Location

POINTER = "live.json"
FIRST = "g1"
NAME = re.compile(r"g[1-9]\d{0,8}")
DROPPED = ".dropped-"  # + generation: a file that marks one whose deletion has begun
ORIGIN = "origin"  # property of a generation made by a replay: what it is made from, as JSON


@dataclass(frozen=True, slots=True)
class Generation:
    """A documents table and its name, which is that of its folder."""

    name: str
    documents: Documents


@dataclass(frozen=True, slots=True)
class Pointer:
    """The live generation, and the version of the pointer file; both None before the first start."""

    generation: str | None = None
    version: str | None = None


class Generations:
    """The generations of one pipeline, below `<documents>/<pipeline>/`.

    Args:
        documents: Where the documents of all pipelines are.
        pipeline: Name of the pipeline.
    """

    def __init__(self, documents: Location | Path, pipeline: str) -> None:
        self.location = (Folder(documents) if isinstance(documents, Path) else documents) / pipeline
        self._pipeline = pipeline

    @classmethod
    def of(cls, settings: Settings) -> Generations:
        """The generations of the pipeline of these settings. Raises DocumentsError."""
        return cls(documents_location(settings), settings.pipeline)

    def live(self) -> str | None:
        """Return the name of the live generation; None before the first start.

        Raises:
            DocumentsError: The pointer file is damaged, or cannot be read.
        """
        return self.pointer().generation

    def pointer(self) -> Pointer:
        """Read the pointer file. Raises DocumentsError if it is damaged, or cannot be read."""
        pointer = self.location / POINTER
        try:
            content = pointer.read()
            return Pointer(_parse_pointer(content.data), content.version)
        except FileNotFoundError:
            return Pointer()
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
        except UnavailableError:
            raise
        except OSError as error:
            raise _unusable(self.location, "read", error) from error

    def pipeline_id(self) -> str | None:
        """Id that all generations share; None before there is one.

        Raises:
            DocumentsError: A generation cannot be read.
        """
        names = [name for name in (self.live(), *self.names()) if name is not None]
        return self.open(names[0]).documents.pipeline_id if names else None

    def location_of(self, generation: str) -> Location:
        """Where a generation's documents table is."""
        return self.location / generation

    def open(self, name: str) -> Generation:
        """Open a generation.

        Raises:
            DocumentsError: It does not exist, or its table cannot be read.
        """
        return Generation(name, Documents.open(self.location_of(name)))

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
            self.point_to(name, Pointer())
            return generation
        self.check_rules(found.documents, rules)
        self._keep(rules)  # one that an older version created has no copy of its rules
        return found

    def names(self) -> list[str]:
        """Names of all generations that have a table, oldest first. Raises DocumentsError."""
        with _explained(self.location, "read"):
            dropped = self._dropped()
            found = [name for name in self.location.folders() if NAME.fullmatch(name) and name not in dropped]
            numbers = [int(name[1:]) for name in found if _has_log(self.location_of(name))]
        return [f"g{number}" for number in sorted(numbers)]

    def create_next(self, rules: Rules) -> Generation:
        """Create an empty generation that is not live."""
        return self._create(self._next(), rules)

    def create_successor(self, earlier: Documents, rules: Rules, properties: Mapping[str, str]) -> Generation:
        """Create an empty generation that is not live, to hold the documents of an earlier one by its rules."""
        return self._create(self._next(), rules, {PIPELINE_ID: earlier.pipeline_id, **properties})

    def drop(self, generation: str) -> None:
        """Delete a generation's documents.

        Raises:
            DocumentsError: It is the live generation, or does not exist.
        """
        if generation not in self.names():
            raise DocumentsError(f"there is no generation {generation}: `wetstream generations list` names them")
        if generation == self.live():
            raise DocumentsError(f"{generation} is the live generation: switch to another one first")
        with _explained(self.location, "written"):
            # First: from now on it is no generation, and whoever drops or creates one next completes this.
            (self.location / f"{DROPPED}{generation}").replace(b"", None)
            self._complete_drops()

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
            f"pipeline {self._pipeline} was made with {what}: its documents would not fit together. Continue "
            "without --profile, give the new rules a pipeline of their own (--pipeline NAME), or apply them to the "
            f"past with `wetstream replay --profile {rules.profile}`"
        )

    def profile_of(self, documents: Documents) -> Profile:
        """Return the rules that documents were made with, as the pipeline keeps them.

        Raises:
            ProfileError: The pipeline is older than this, and its profile is not where it was any more.
        """
        properties = documents.properties
        try:
            kept = Profile.from_json((self.location / _profile_file(properties["rules_hash"])).read().data)
            return replace(kept, name=profile_name(properties["profile"]))
        except FileNotFoundError:
            return load_profile(properties["profile"])

    def point_to(self, generation: str, replaced: Pointer | None = None) -> None:
        """Make a generation the live one.

        Args:
            generation: Its name.
            replaced: The pointer on which the decision rests; None: whatever it is now.

        Raises:
            FencedError: Another process has changed the pointer since.
            DocumentsError: It cannot be written.
        """
        known = self.pointer() if replaced is None else replaced
        try:
            with _explained(self.location, "written"):
                (self.location / POINTER).replace(json.dumps({"generation": generation}).encode(), known.version)
        except ConflictError as error:
            raise FencedError(
                f"another process has changed {self.location / POINTER} meanwhile: run the same command again"
            ) from error

    def _keep(self, rules: Rules) -> None:
        """Write the rules beside the generations, once for all that have them: their file may be moved or changed."""
        file = self.location / _profile_file(rules.rules_hash)
        if not rules.content or not self.location.missing([file.name]):
            return
        with _explained(self.location, "written"), contextlib.suppress(ConflictError):
            file.replace(rules.content, None)

    def _dropped(self) -> set[str]:
        return {name.removeprefix(DROPPED) for name in self.location.files() if name.startswith(DROPPED)}

    def _complete_drops(self) -> None:
        for name in self._dropped():
            if NAME.fullmatch(name):
                self.location_of(name).remove()
            (self.location / f"{DROPPED}{name}").delete()

    def _next(self) -> str:
        return f"g{max((int(name[1:]) for name in self.names()), default=0) + 1}"

    def _is_replay(self, generation: str) -> bool:
        return generation in self.names() and ORIGIN in Documents.open(self.location_of(generation)).properties

    def _create(self, name: str, rules: Rules, given: Mapping[str, str] | None = None) -> Generation:
        location = self.location_of(name)
        with _explained(location, "created"):
            self._complete_drops()
            if _has_log(location):
                # Without a pointer and without documents, it is left over from an interrupted start.
                if not Documents.open(location).is_empty:
                    raise DocumentsError(
                        f"{location} holds documents, but {self.location / POINTER} is missing: restore it with the "
                        f'content {{"generation": "{name}"}}, or move the folder away to start from scratch'
                    )
            elif any(file.endswith(".parquet") for file in location.files()):
                raise DocumentsError(
                    f"{location} holds Parquet files but no Delta log: restore {location / '_delta_log'} from a "
                    "backup, or move the folder away to start from scratch"
                )
            location.remove()
            location.make()
        self._keep(rules)
        properties = {
            **(given or {PIPELINE_ID: self.pipeline_id() or uuid.uuid4().hex[:16]}),
            "pipeline": self._pipeline,
            "generation": name,
            "profile": rules.profile,
            "rules_hash": rules.rules_hash,
        }
        return Generation(name, Documents.create(location, properties))


def _profile_file(rules_hash: str) -> str:
    return f"profile-{rules_hash[:16]}.json"


def _parse_pointer(content: bytes) -> str:
    """Return the name in a pointer file; raise ValueError if there is none."""
    pointer = json.loads(content)
    name = pointer.get("generation") if isinstance(pointer, dict) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(name)
    return name


@contextmanager
def _explained(location: Location, verb: str) -> Iterator[None]:
    """Raise DocumentsError where a place cannot be used, but not where an object store is away for a while."""
    try:
        yield
    except UnavailableError:
        raise
    except OSError as error:
        raise _unusable(location, verb, error) from error


def _unusable(location: Location, verb: str, error: OSError) -> DocumentsError:
    return DocumentsError(
        f"the documents folder {location} cannot be {verb} ({error.strerror}): correct documents.path, or the "
        "permissions of that folder"
    )


def _has_log(location: Location) -> bool:
    return (location / "_delta_log").holds("0")
