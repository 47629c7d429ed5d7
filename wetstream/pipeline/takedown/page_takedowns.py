"""What a pipeline does with single pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wetstream.pipeline.events import OnEvent, Status

if TYPE_CHECKING:
    from conf.settings import Settings
    from sinks.documents.table import Documents
    from sinks.documents.takedowns import Takedown
    from wetstream.pipeline.takedown.pages import TakenDown


class PageTakedowns:
    """What a pipeline does with single pages; part of `Pipeline`."""

    settings: Settings
    on_event: OnEvent

    def _live_documents(self) -> Documents:
        raise NotImplementedError

    def take_down(
        self,
        *,
        urls: Sequence[str] = (),
        hosts: Sequence[str] = (),
        patterns: Sequence[str] = (),
        purge: bool = False,
    ) -> TakenDown:
        """Take pages out of documents and statistics, and keep them out whatever source brings them.

        Of each page a row remains that says which record of its source it was, with the reason `taken_down`. Repeating
        it after any interruption is safe.

        Args:
            urls: Pages of these URLs, compared in the URL Standard's normal form.
            hosts: Pages of these hosts; with a dot before it (`.example.com`) also of all hosts below it.
            patterns: Pages whose URL holds a match of one of these regular expressions, in RE2 syntax.
            purge: Also delete all pages that were ever taken down from old versions of the documents table and from the
                topic, with the messages before them.

        Raises:
            TakedownError: A URL, host or pattern is none.
            LeaseError: Another change of the pipeline is under way.
            DocumentsError: There are no documents.
        """
        from wetstream.pipeline.takedown.pages import make_takedowns, take_down

        wanted = make_takedowns(urls, hosts, patterns)
        return take_down(self.settings, wanted, lambda text: self.on_event(Status(text)), purges=purge)

    def takedowns(self) -> list[Takedown]:
        """Return what is kept out of this pipeline. Raises DocumentsError when there are no documents."""
        return self._live_documents().takedowns()

    def matching_pages(
        self, *, urls: Sequence[str] = (), hosts: Sequence[str] = (), patterns: Sequence[str] = ()
    ) -> int:
        """Count the pages of the documents table that `take_down` would take down. Changes nothing."""
        from wetstream.pipeline.takedown.pages import count_pages, make_takedowns

        return count_pages(self._live_documents(), make_takedowns(urls, hosts, patterns))
