"""Passwords of URLs are masked in what libraries say about them, and nothing else is."""

from __future__ import annotations

import pytest

from conf import redaction
from producers.sources.urls import register_passwords


@pytest.fixture(autouse=True)
def no_secrets_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())
    monkeypatch.setattr(redaction, "_known_secrets", None)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:canary-1/x@host/s.gz",
        "https://me:x/canary-1@host/s.gz",
        "https://me:canary-1#x@host/s.gz",
        "s3://me:canary-1@bucket/s.gz",
        "simplecache::https://me:canary-1@host:80/s.gz",
        "https://:canary-1@host/s.gz",
    ],
)
def test_parts_of_a_password_are_masked(url: str) -> None:
    register_passwords(url)
    assert redaction.redact("Invalid port: 'canary-1'") == "Invalid port: '***'"


@pytest.mark.parametrize(
    "url",
    ["http://host:8080/canary-1@x.gz", "https://host/a:canary-1@x.gz", "http://[::1]:80/canary-1@x", "/a:canary-1@b"],
)
def test_remaining_url_parts_do_not_matter(url: str) -> None:
    register_passwords(url)
    assert "canary-1" in redaction.redact("canary-1")
