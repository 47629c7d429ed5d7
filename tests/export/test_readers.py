"""Each format is read back by the libraries that it is for, and holds the same corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from gensim.corpora import BleiCorpus, MmCorpus
from gensim.models import LdaModel
from pyspark.ml.clustering import LDA
from pyspark.ml.linalg import SparseVector
from pyspark.sql import DataFrame, SparkSession
from scipy.io import mmread
from scipy.sparse import csr_matrix
from sklearn.datasets import load_svmlight_file
from sklearn.decomposition import LatentDirichletAllocation

from serving.export.export import ExportOptions
from serving.export.formats import FORMATS
from serving.view import View
from sinks.documents.table import Documents
from tests.export import corpora
from tests.export.corpora import SOURCES
from wetstream.commands import export as cli_export

DOCUMENTS = 60
CHOICE = ExportOptions(View(min_df=2, max_df=0.95))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    return corpora.make_table(tmp_path_factory.mktemp("tables"), rows(), rows_a_file=17)


def rows() -> list[corpora.Row]:
    random = np.random.default_rng(3)
    made = []
    for number in range(DOCUMENTS):
        # The word that comes last in the vocabulary stands in the first document only: no reader can guess the width.
        bag = {f"w{word}": int(random.integers(1, 9)) for word in random.choice(40, random.integers(0, 12), False)}
        bag |= {"often": 2} if number else {"zz": 7}
        bag |= {"zz": 1} if number == DOCUMENTS - 1 else {}
        made.append(corpora.row((SOURCES[number % 4], 1000 - number, 0), bag, "eng", None))
    return made


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    """The corpus as it has to be: documents x words."""
    expected = corpora.expected(rows(), CHOICE)
    assert expected.without_words > 0 and "often" not in [word for word, *_ in expected.words]
    return np.array([[bag.get(word, 0) for word, *_ in expected.words] for bag in expected.bags])


@pytest.fixture
def export_as(table: Documents, tmp_path: Path):  # type: ignore[no-untyped-def]
    return lambda form: corpora.exported(table, tmp_path / form, form, CHOICE)


def dense(bags: Iterable[list[tuple[int, float]]], words: int) -> np.ndarray:
    found = [np.bincount([w for w, _ in bag], weights=[n for _, n in bag], minlength=words) for bag in bags]
    return np.array(found)


def test_svmlight_by_scikit_learn(export_as, matrix: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    path = export_as("svmlight") / "corpus.svmlight"
    for zero_based in (False, "auto"):
        found, labels = load_svmlight_file(str(path), n_features=matrix.shape[1], zero_based=zero_based)
        assert (found.toarray() == matrix).all() and not labels.any()
    topics = LatentDirichletAllocation(2, max_iter=2, random_state=1).fit_transform(found)
    assert topics.shape == (len(matrix), 2)


def test_matrixmarket_by_scipy(export_as, matrix: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    found = mmread(str(export_as("matrixmarket") / "corpus.mtx"))
    assert found.shape == matrix.shape and found.nnz == (matrix > 0).sum()
    assert (csr_matrix(found).toarray() == matrix).all()


def test_matrixmarket_by_gensim(export_as, matrix: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    corpus = MmCorpus(str(export_as("matrixmarket") / "corpus.mtx"))
    assert (corpus.num_docs, corpus.num_terms, corpus.num_nnz) == (*matrix.shape, (matrix > 0).sum())
    assert (dense(corpus, matrix.shape[1]) == matrix).all()


def test_ldac_by_gensim(export_as, matrix: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    folder = export_as("ldac")
    corpus = BleiCorpus(str(folder / "corpus.ldac"))  # finds vocab.txt beside it
    assert (dense(corpus, matrix.shape[1]) == matrix).all()
    assert list(corpus.id2word.values()) == corpora.vocabulary(folder)
    model = LdaModel(corpus, num_topics=2, id2word=corpus.id2word, random_state=1)
    assert model.num_terms == matrix.shape[1]


def vectors(frame: DataFrame) -> np.ndarray:
    found = [row.features for row in frame.collect()]
    assert all(isinstance(vector, SparseVector) for vector in found)
    return np.array([vector.toArray() for vector in found])


def test_svmlight_read_by_mllib(export_as, matrix: np.ndarray, spark: SparkSession) -> None:  # type: ignore[no-untyped-def]
    path = export_as("svmlight") / "corpus.svmlight"
    frame = spark.read.format("libsvm").option("numFeatures", matrix.shape[1]).load(path.as_uri())
    assert (vectors(frame) == matrix).all()
    assert LDA(k=2, maxIter=3, seed=1).fit(frame).vocabSize() == matrix.shape[1]


def test_parquet_by_mllib(export_as, matrix: np.ndarray, spark: SparkSession) -> None:  # type: ignore[no-untyped-def]
    folder = export_as("parquet")
    frame = spark.read.parquet((folder / "corpus.parquet").as_uri()).orderBy("id")
    assert (vectors(frame) == matrix).all()
    model = LDA(k=2, maxIter=3, seed=1).fit(frame)
    assert model.vocabSize() == matrix.shape[1]
    assert model.transform(frame).count() == len(matrix)


def test_parquet_read_by_other_libraries(export_as, matrix: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    folder = export_as("parquet")
    found = pq.read_table(folder / "corpus.parquet").to_pylist()
    bags = [list(zip(row["features"]["indices"], row["features"]["values"], strict=True)) for row in found]
    assert (dense(bags, matrix.shape[1]) == matrix).all()
    assert {row["features"]["size"] for row in found} == {matrix.shape[1]}
    places = [tuple(row[name] for name in corpora.DESCRIBED) for row in found]
    assert places == corpora.documents_of(folder) == corpora.expected(rows(), CHOICE).documents


DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "export.md"
SECTIONS = re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("form", [form for form, text in SECTIONS if "```python" in text])
def test_the_examples_of_the_document(
    form: str,
    table: Documents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    corpora.exported(table, tmp_path / "topics", form, CHOICE)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", dict(SECTIONS)[form], re.S)
    # Spark's working directory is that of the process when it started.
    exec(example.replace('"topics/corpus.parquet"', f'"file://{tmp_path}/topics/corpus.parquet"'), {})
    assert capsys.readouterr().out.strip()


def test_every_format_has_a_section() -> None:
    assert [form for form, _ in SECTIONS] == list(FORMATS) == list(cli_export.FORMATS)
