"""The API against its own OpenAPI description: generated requests, right and wrong ones, over real connections."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis import checks as all_checks

from serving.document_queries import DocumentQueries
from serving.slices.queries import SliceQueries
from tests.serving.documents import table_of
from tests.serving.pipelines import Made, Running

BAGS = [{"alpha": 3, "beta": 1}, {"alpha": 1, "gamma": 2}, {"alpha": 2, "beta": 2}]
QUICK = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

all_checks.load_all_checks()
CHECKS = [
    all_checks.CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
    )
]


def test_answers_conform_to_the_openapi_schema(made: Made, serve: Callable[..., Running], tmp_path: Path) -> None:
    made.add(*BAGS, rejected=2)
    documents = table_of(tmp_path, ["http://a.example/1", None])
    slices = SliceQueries(lambda: documents, tmp_path / "slices")
    server = serve(table=DocumentQueries(lambda: documents), slices=slices)
    server.wait_for("/api/v1/words/bottom", lambda answer: True)
    schema = schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json")
    answered: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # never ends; has its own tests
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @QUICK
            @given(case=operation.as_strategy(generation_mode=mode))
            def conforms(case: schemathesis.Case) -> None:
                response = case.call()
                answered.setdefault(case.operation.path, set()).add(response.status_code)
                case.validate_response(response, checks=CHECKS)

            try:
                conforms()
            except Unsatisfiable:
                continue  # nothing of this address can be negated
    # That it was given right and wrong requests: what there is to get was got, and what can be wrong was refused.
    assert len(answered) > 20
    assert all(200 in statuses for statuses in answered.values()), answered
    assert sum(422 in statuses for statuses in answered.values()) > 15, answered


def test_any_word_and_any_bytes_have_a_clear_answer(made: Made, serve: Callable[..., Running]) -> None:
    made.add(*BAGS)
    server = serve()
    server.wait_for("/api/v1/words/bottom", lambda answer: True)

    @settings(max_examples=25, deadline=None)
    @given(st.text(max_size=40) | st.text(st.characters(categories=["Cc", "Cf", "Po", "Mn", "So"])), st.binary())
    def clear(text: str, raw: bytes) -> None:
        for quoted in (urllib.parse.quote(text, safe=""), urllib.parse.quote(raw, safe="")):
            for path in (f"words/{quoted}", f"words?word={quoted}", f"words/search?contains={quoted}&prefix={quoted}"):
                answer = server.http.get(f"/api/v1/{path}")
                assert answer.status_code in (200, 404, 422), answer.text
                assert answer.status_code == 200 or answer.json()["message"]
        answer = server.http.get("/api/v1/words", params={"word": text})
        assert answer.status_code == 422 or answer.json()["words"][0]["word"] == text.lower()

    clear()
