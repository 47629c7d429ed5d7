"""Which documents a build of the statistics was counted from.

A pipeline's name alone does not say so: the same name may be used with another home or documents.path. Each build
therefore stores the ids of its documents, and a writer refuses to touch the statistics of other ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import cast

from redis import Redis

from sinks.documents.log import DocumentsLog
from sinks.keys import Keys


@dataclass(frozen=True, slots=True)
class Owner:
    """The documents of a build; stored in the fields of its hash `as_of`.

    Attributes:
        pipeline_id: Id that all generations of a pipeline share. It moves with their folder, and is in its backups.
        table_id: Id of the generation's Delta table.
        rules_hash: Hash of the rules that the documents were made with.
        path: Folder or URL of the table when the build was last written, for messages.
    """

    pipeline_id: str
    table_id: str
    rules_hash: str
    path: str

    @classmethod
    def of(cls, documents: DocumentsLog) -> Owner:
        """The owner that these documents are."""
        rules_hash = documents.properties.get("rules_hash", "")
        return cls(documents.pipeline_id, documents.table_id, rules_hash, str(documents.location))

    @classmethod
    def read(cls, client: Redis, keys: Keys) -> Owner | None:
        """Read the owner of a build; None if it does not say."""
        names = [field.name for field in fields(cls)]
        values = cast("list[bytes | None]", client.hmget(keys.as_of, names))
        if values[0] is None:
            return None
        return cls(*((value or b"").decode(errors="replace") for value in values))

    def write(self, client: Redis, keys: Keys) -> None:
        """Store this owner in a build."""
        client.hset(keys.as_of, mapping={field.name: getattr(self, field.name) for field in fields(self)})

    def has_same_documents(self, other: Owner) -> bool:
        """Whether both are the same table with the same rules, wherever it is."""
        return (self.pipeline_id, self.table_id, self.rules_hash) == (
            other.pipeline_id,
            other.table_id,
            other.rules_hash,
        )
