# %% [markdown]
# # What is a page about? tf-idf over a WET file
#
# Needs no server. Run it as a script (`python examples/keywords.py FILE...`), or cell by cell in Jupyter or VS Code.
# Without a file it makes one.

# %%
import math
import sys
from collections import Counter

import polars

import wetstream

files = [name for name in sys.argv[1:] if name.endswith((".wet", ".wet.gz", ".wet.zst"))]
if not files:
    files = [str(wetstream.write_sample("sample.warc.wet.gz", records=200).path)]

# %% [markdown]
# Records as a Polars frame, judged by the `english` profile. What is not kept has a reason.

# %%
columns = ["url", "language", "reason", "tokens", "words", "counts"]
records = polars.from_arrow(wetstream.read_wet_batches(*files, profile="english", columns=columns))
print(records.group_by("reason").len().sort("len", descending=True))

# %% [markdown]
# The document frequency of each word, and with it the weight of a word in a page.

# %%
pages = records.filter(polars.col("reason").is_null())
df = Counter(word for words in pages["words"] for word in words)


def keywords(words: list[str], counts: list[int], n: int = 5) -> list[str]:
    """Return the n words with the highest tf-idf."""
    weights = {word: count * math.log(len(pages) / df[word]) for word, count in zip(words, counts, strict=True)}
    return sorted(weights, key=lambda word: (-weights[word], word))[:n]


for page in pages.sort("tokens", descending=True).head(10).iter_rows(named=True):
    print(page["url"], keywords(page["words"], page["counts"]))
