"""The API against its own OpenAPI description: generated requests, right and wrong ones, over real connections."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from made_documents import table_of
from schemathesis import checks as all_checks
from serving_made import Made, Running

from serving.table import Table

BAGS = [{"alpha": 3, "beta": 1}, {"alpha": 1, "gamma": 2}, {"alpha": 2, "beta": 2}]
QUICK = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_the_api_keeps_its_own_description(made: Made, serve: Callable[..., Running], tmp_path: Path) -> None:
    made.add(*BAGS, rejected=2)
    documents = table_of(tmp_path, ["http://a.example/1", None])
    server = serve(table=Table(lambda: documents))
    server.wait_for("/api/v1/words/bottom", lambda answer: True)
    schema = schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json")
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # never ends; has its own tests
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @QUICK
            @given(case=operation.as_strategy(generation_mode=mode))
            def conforms(case: schemathesis.Case) -> None:
                nonlocal tried
                tried += 1
                response = case.call(session=None)
                case.validate_response(response, checks=CHECKS)
                assert response.status_code < 500 or response.status_code == 503

            try:
                conforms()
            except Unsatisfiable:
                continue  # nothing of this address can be negated
    assert tried > 200


all_checks.load_all_checks()
CHECKS = [
    all_checks.CHECKS.get_one("not_a_server_error"),
    all_checks.CHECKS.get_one("status_code_conformance"),
    all_checks.CHECKS.get_one("content_type_conformance"),
    all_checks.CHECKS.get_one("response_schema_conformance"),
    all_checks.CHECKS.get_one("negative_data_rejection"),
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=40), st.binary(max_size=40))
def test_any_word_and_any_bytes_have_a_clear_answer(
    made: Made, serve: Callable[..., Running], text: str, raw: bytes
) -> None:
    if "server" not in _running:
        made.add(*BAGS)
        _running["server"] = serve()
    server = _running["server"]
    quoted = urllib.parse.quote(text.encode("utf-8", "surrogatepass"), safe="")
    for path in (f"words/{quoted}", f"words?word={quoted}", f"words/search?contains={urllib.parse.quote(raw)}"):
        assert server.http.get(f"/api/v1/{path}").status_code in (200, 404, 422)


_running: dict[str, Running] = {}
