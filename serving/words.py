"""Questions about words, asked of Redis at the moment: the ranked ones, and look-ups.

Only the most frequent words are kept ranked (setting redis.top_words); what lies below them is answered from a snapshot
of the vocabulary (`serving.snapshot`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

from redis import Redis

from serving.as_of import AS_OF_REPLIES, ask_as_of, read_as_of
from serving.reading import live_keys
from serving.view import EVERYTHING, View

By = Literal["tf", "df"]


def top(
    client: Redis, pipeline: str, limit: int, view: View = EVERYTHING, *, by: By = "tf", offset: int = 0
) -> dict[str, Any]:
    """The most frequent words {word, tf, df}, from the `offset`th on, by `by` descending, then by word.

    By df: exact as long as the words asked for can be told to be among those kept ranked by tf (tf >= df, so any word
    that is not ranked has a df of at most the last ranked tf). Raises ValueError when more words are asked for than
    that; the message names the remedy.
    """
    keys = live_keys(client, pipeline)
    pipe = client.pipeline(transaction=True)
    ask_as_of(pipe, keys, pipeline)
    pipe.hmget(keys.totals, ["documents", "words"])
    pipe.zcard(keys.top)
    *state, (documents, words), ranked_words = pipe.execute()
    as_of = read_as_of(keys, state)
    documents, words = int(documents or 0), int(words or 0)
    found: list[dict[str, Any]] = []
    wanted, begin = limit + offset, 0
    # By df all ranked words have to be seen: the one with the greatest df may be the last by tf.
    step = ranked_words if by == "df" else max(wanted, 100)
    last_tf = 0
    while begin < ranked_words and (by == "df" or len(found) < wanted):
        ranked = cast("list[Any]", client.zrange(keys.top, begin, begin + step - 1, withscores=True))
        if not ranked:
            break
        frequencies = cast("list[Any]", client.hmget(keys.df, [word for word, _ in ranked]))
        for (word, score), df in zip(ranked, frequencies, strict=True):
            if df is not None and view.holds(int(df), documents):
                found.append({"word": word.decode(), "tf": int(-score), "df": int(df)})
        last_tf = int(-ranked[-1][1])
        begin += step
    if by == "df":
        found.sort(key=lambda row: (-row["df"], -row["tf"], row["word"]))
        if ranked_words < words:
            found = [row for row in found if row["df"] > last_tf]
    if len(found) < wanted and ranked_words < words:
        raise ValueError(
            f"only the {ranked_words:,} most frequent words are kept ranked, and {len(found):,} of them answer this: "
            f"ask for fewer than {wanted:,}, or raise redis.top_words and run `wetstream rebuild`"
        )
    return {"words": found[offset:wanted], "by": by, "view": view.to_json(), "as_of": as_of.answer}


def look_up(client: Redis, pipeline: str, words: Sequence[str]) -> dict[str, Any]:
    """Of each word (as it is stored: lower case) tf, df, idf and rank; all at one instant.

    idf is ln(documents / df), None for a word that never came. rank counts from 1 by tf descending, then by word; None
    for a word that is not kept ranked.
    """
    keys = live_keys(client, pipeline)
    stored = [word.lower() for word in words]
    pipe = client.pipeline(transaction=True)
    ask_as_of(pipe, keys, pipeline)
    pipe.hget(keys.totals, "documents")
    pipe.hmget(keys.tf, stored)
    pipe.hmget(keys.df, stored)
    for word in stored:
        pipe.zrank(keys.top, word)
    replies = pipe.execute()
    documents = int(replies[AS_OF_REPLIES] or 0)
    tfs, dfs = replies[AS_OF_REPLIES + 1 : AS_OF_REPLIES + 3]
    ranks = replies[AS_OF_REPLIES + 3 :]
    rows = [
        {
            "word": word,
            "tf": int(tf or 0),
            "df": int(df or 0),
            "idf": inverse_document_frequency(int(df or 0), documents),
            "rank": None if rank is None else rank + 1,
        }
        for word, tf, df, rank in zip(stored, tfs, dfs, ranks, strict=True)
    ]
    return {"words": rows, "documents": documents, "as_of": read_as_of(keys, replies[:AS_OF_REPLIES]).answer}


def inverse_document_frequency(df: int, documents: int) -> float | None:
    """ln(documents / df); None for a word of no document. Words that run ahead of the totals count as in all."""
    return round(math.log(max(documents, df) / df), 6) if df > 0 else None
