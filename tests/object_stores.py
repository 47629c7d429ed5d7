"""A real S3 server on loopback (moto), and documents in it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

KEYS = {"AWS_ACCESS_KEY_ID": "canary-access-key", "AWS_SECRET_ACCESS_KEY": "canary-secret-key-5b2e"}
REGION = "us-east-1"


@contextmanager
def s3_server() -> Iterator[str]:
    """A server with a port of its own; gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # In a process of its own: the server must answer while a library waits for it with Python's lock held.
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _answers(endpoint):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def make_bucket(endpoint: str, name: str) -> str:
    """Make a bucket; gives its URL."""
    client(endpoint).create_bucket(Bucket=name)
    return f"s3://{name}"


def client(endpoint: str):  # type: ignore[no-untyped-def]
    """A client of the server that shares no code with what is tested."""
    return boto3.client(
        "s3",
        config=Config(retries={"max_attempts": 1}),
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
    )


def keys(endpoint: str, bucket: str, prefix: str = "") -> list[str]:
    """The keys of all objects with a prefix."""
    pages = client(endpoint).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def options(endpoint: str) -> dict[str, str]:
    """The options of [documents.storage]."""
    return {"endpoint": endpoint, "allow_http": "true", "region": REGION}


def give_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the keys into the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def _answers(endpoint: str) -> bool:
    try:
        client(endpoint).list_buckets()
    except BotoCoreError:
        return False
    return True
