"""What is masked in text that leaves the process, and what is left as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf import redaction
from conf.redaction import MASK, redact, redact_values, register_secret
from tests.examples import examples

SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    "text",
    [
        f"redis://:{SECRET}@host:6379/0 does not answer",
        f"redis://user:{SECRET}@host:6379/0",
        f"https://{SECRET}@host/x",
        f"simplecache::http://user:{SECRET}@host/x",
        f"filecache::zip://a.gz::https://user:{SECRET}@host/x",
        f"http://user:p@{SECRET}@host/x",
        f"redis://:{SECRET}/x@host:6379",
        f"redis://:x/{SECRET}@host:6379",
        f"redis://:a#{SECRET}?x@host:6379",
        f"//user:{SECRET}@host/x",
        f"see 'http://user:{SECRET}@host', then ask",
        f"https://proxy/?url=http%3A%2F%2Fuser%3A{SECRET}%40host%2Fx",
        f"https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={SECRET}&x=1",
        f"https://b.s3.amazonaws.com/k?AWSAccessKeyId=a&Signature={SECRET}",
        f"https://a.blob.core.windows.net/c/b?sv=2022&sig={SECRET}",
        f"https://storage.googleapis.com/b/o?X-Goog-Signature={SECRET}",
        f"https://h/x?access_token={SECRET}",
        f"https://h/x?a=1;api_key={SECRET}",
        f"https://h/x#token={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f'PlainLoginModule required username="u" password="{SECRET} x";',
        f"password = {SECRET}",
    ],
)
def test_secrets_in_urls_and_headers_are_masked(text: str) -> None:
    assert SECRET not in redact(text)
    assert MASK in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/@user/post",
        "https://example.com:8080/@user?x=1&y=2",
        "http://[::1]:8080/a@b",
        "file:///data/a@b.wet.gz",
        "redis://host:6379/0",
        "unix:///run/redis.sock",
        "mail a@b.example",
        "s3://commoncrawl/crawl-data/x.warc.wet.gz",
        "the password is wrong; correct redis.url",
        "a token of at least 16 characters",
        "https://h/x?page=2&monkey=1",
    ],
)
def test_everything_else_is_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.fuzz
@examples(100)
@given(
    user=st.text("abc%.-_~!$&'()*+,;=", max_size=8),
    before=st.sampled_from(["", "simplecache::", "see ", "("]),
    scheme=st.sampled_from(["http", "https", "redis", "rediss", "s3", "abfss"]),
    noise=st.text("abc:@%!$&'()*+,;=-._~", max_size=8),
    after=st.sampled_from(["", "/", "/a@b", "?x=1", "#y", ":6379/0"]),
)
def test_no_userinfo_survives(user: str, before: str, scheme: str, noise: str, after: str) -> None:
    text = f"{before}{scheme}://{user}:{noise}{SECRET}{noise}@host{after}"
    assert SECRET not in redact(text)
    assert redact(text).startswith(f"{before}{scheme}://")


@pytest.mark.fuzz
@examples(100)
@given(st.text())
def test_redaction_is_idempotent(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_registered_values_are_masked_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())
    monkeypatch.setattr(redaction, "_known_secrets", None)
    register_secret("gre at/se'cret\n")
    register_secret("main")
    for form in ("gre at/se'cret\n", "gre%20at%2Fse%27cret%0A", "gre+at%2Fse%27cret%0A", repr("gre at/se'cret\n")):
        assert "cret" not in redact(f"AUTH {form} failed")
    assert redact("pipeline main") == "pipeline main"


def test_nested_answers_are_redacted() -> None:
    answer = {"url": f"redis://:{SECRET}@h", "rows": [(1, f"http://{SECRET}@h")], f"http://{SECRET}@h": None}
    assert SECRET not in str(redact_values(answer))
    assert redact_values(answer)["rows"][0][0] == 1
