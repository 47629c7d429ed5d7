"""The cleaning rules for notebooks: a text in, its bag of words out, and why what was dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

from conf.profiles import Profile as Rules
from conf.profiles import builtin_profiles, load_profile

# Whatever takes time to import is imported where it is used.
if TYPE_CHECKING:
    import pyarrow as pa

    from streaming.text.explain import Explanation
    from streaming.text.kernel import Bagger


class Profile:
    """The rules by which pages are kept or rejected and become bags of words.

    Example:
        >>> from wetstream import Profile
        >>> english = Profile.load("english")
        >>> page = english.bag("The cats of London, and www.example.com!", language_header="eng")
        >>> page.bag, page.reason
        ({'cats': 1, 'london': 1}, 'too_few_words')
        >>> {cause: tokens.examples for cause, tokens in page.left_out.items()}
        {'stop word': ['the', 'of', 'and'], 'address': ['www.example.com!']}
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._bagger: Bagger | None = None

    @classmethod
    def load(cls, name_or_path: str) -> Self:
        """Load a built-in profile by name, or one of your own from a .toml file.

        Raises:
            ProfileError: There is no such profile, or it is invalid.
        """
        return cls(load_profile(name_or_path))

    @staticmethod
    def names() -> list[str]:
        """Return the names of the built-in profiles."""
        return builtin_profiles()

    def __repr__(self) -> str:
        return f"Profile({self.name!r})"

    @property
    def name(self) -> str:
        """Its name."""
        return self._rules.name

    @property
    def description(self) -> str:
        """What it is for."""
        return self._rules.description

    @property
    def language(self) -> str | None:
        """ISO 639-3 code of the pages that it keeps; None: pages in any language."""
        return self._rules.language

    @property
    def rules_hash(self) -> str:
        """SHA-256 of everything that can change a bag or reject a page."""
        return self._rules.rules_hash

    def bag(self, text: str | bytes, *, language_header: str | None = None, examples: int = 10) -> Explanation:
        """Judge one page and say why: its language, its bag of words, and what was left out of it.

        This follows the plain specification of the rules, which the compiled kernel equals; for many pages use `bags`.

        Args:
            text: The page, as text or UTF-8.
            language_header: Its WARC-Identified-Content-Language; None: the language is detected.
            examples: Number of example tokens kept for each cause.
        """
        from streaming.text.explain import explain

        return explain(_utf8(text), language_header, self._rules, examples)

    def bags(self, texts: Iterable[str | bytes], language_headers: Sequence[str | None] | None = None) -> pa.Table:
        """Judge many pages with the compiled kernel.

        Args:
            texts: n pages, as text or UTF-8; together less than 2 GiB.
            language_headers: Their WARC-Identified-Content-Language; None: the languages are detected.

        Returns:
            Table of n rows with the columns `language`, `language_method`, `reason`, `tokens`, `words` and `counts` of
            the documents table.
        """
        import numpy as np
        import pyarrow as pa

        from streaming.text.judge import judge
        from streaming.text.kernel import Bagger

        pages = [_utf8(text) for text in texts]
        headers = [None] * len(pages) if language_headers is None else list(language_headers)
        ends = np.cumsum([len(page) for page in pages], dtype=np.int64)
        starts = ends - np.array([len(page) for page in pages], np.int64)
        if self._bagger is None:
            self._bagger = Bagger(self._rules)
        bagger = self._bagger
        judged = judge(bagger, np.frombuffer(b"".join(pages), np.uint8), starts, ends, headers)
        bagger.reset()
        bags = judged.bags
        offsets, rejected = pa.array(bags.offsets.astype(np.int32)), pa.array(~bags.kept)
        return pa.table(
            {
                "language": pa.array(judged.languages, pa.string()),
                "language_method": pa.array(judged.methods, pa.string()),
                "reason": pa.array(judged.reasons, pa.string()),
                "tokens": pa.array(bags.lengths).cast(pa.int64()),
                "words": pa.ListArray.from_arrays(offsets, bagger.words(bags.words).cast(pa.string()), mask=rejected),
                "counts": pa.ListArray.from_arrays(offsets, pa.array(bags.counts), mask=rejected),
            }
        )


def _utf8(text: str | bytes) -> bytes:
    return text.encode("utf-8", "replace") if isinstance(text, str) else text
