"""The options of object stores that settings may have are those that obstore and delta-rs know."""

from __future__ import annotations

import ast
from pathlib import Path

import obstore
import pytest

from conf.storage.options import check_option, plain_option

STUBS = Path(obstore.__file__).parent / "_store"
NOT_OURS = {"root_certificate", "default_headers"}  # bytes and a table, where settings hold text


def names_of_obstore() -> set[str]:
    classes = {"S3Config", "AzureConfig", "GCSConfig", "ClientConfig"}
    found: set[str] = set()
    for file in STUBS.glob("*.pyi"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name in classes:
                found |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}  # type: ignore[union-attr]
    return found


def refusal(name: str, value: str = "true") -> str:
    try:
        check_option(name, value)
    except ValueError as error:
        return str(error)
    return ""


def test_no_name_of_the_library_is_unknown() -> None:
    names = {plain_option(name) for name in names_of_obstore()} - NOT_OURS
    assert len(names) > 60
    assert not {name for name in names if "is no option" in refusal(name)}
    secrets = {name for name in names if "holds a secret" in refusal(name)}
    assert {"secret_access_key", "session_token", "account_key", "sas_key", "bearer_token", "client_secret"} <= secrets
    assert not {"region", "endpoint", "sse_kms_key_id", "web_identity_token_file", "tenant_id"} & secrets


@pytest.mark.parametrize("name", ["regoin", "timeuot", "allow-http", "storage.region", "x" * 500, "", "region "])
def test_other_names_are_refused(name: str) -> None:
    assert "is no option of an object store" in refusal(name) and len(refusal(name)) < 200


@pytest.mark.parametrize("value", ["yes", "1", "on", "TRUE", "ture", ""])
def test_truth_values(value: str) -> None:
    assert refusal("aws_allow_http", value) == "aws_allow_http must be true or false"
    assert not refusal("aws_allow_http", "false")


@pytest.mark.parametrize("value", ["120", "2 days", "-1s", "1e3s", "", "١s"])
def test_times(value: str) -> None:
    assert "a time with its unit" in refusal("timeout", value)
    assert not refusal("timeout", "1m 30s")
