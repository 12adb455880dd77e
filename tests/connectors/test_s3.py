"""The S3 connector: against SeaweedFS, and against services that lie."""

import asyncio
import calendar
import hashlib
import ipaddress
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from connectors.s3 import S3, S3Config
from gateway.connector.context import Context
from gateway.connector.contract import Page, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.s3upload import PART
from gateway.connector.sigv4 import Signer, encode_path, encode_query
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RangeNotSatisfiable,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from tests.servers.seaweed import SeededBucket, client

pytest_plugins = ["tests.servers.seaweed"]

PLACE = Place("300001", "300001", ("Documenten", "Jaarstukken"))
ID = "Documenten/a.pdf"
LOOPBACK = EgressPolicy(
    ("127.0.0.1:*", "*.localhost:*"), (ipaddress.ip_network("127.0.0.0/8"),)
)


@pytest.fixture
async def opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Awaitable[S3]]]:
    """Opens sources; closes them after the test."""
    async with AsyncExitStack() as stack:

        async def make(endpoint: str, policy: EgressPolicy = LOOPBACK, **options: Any) -> S3:
            context = Context("kantoor/s3", egress=policy, base=tmp_path)
            stack.push_async_callback(context.aclose)
            keys = {"access_key": "env:S3_ACCESS", "secret_key": "env:S3_SECRET"}
            source = await S3.open(
                S3Config(**{"endpoint": endpoint, "bucket": "dossiers", **keys, **options}),
                context,
            )
            stack.push_async_callback(source.aclose)
            return source

        monkeypatch.setenv("S3_ACCESS", "AKIDEXAMPLE")
        monkeypatch.setenv("S3_SECRET", "a secret that no server knows")
        yield make


@pytest.fixture
async def source(
    bucket: SeededBucket, opened: Callable[..., Awaitable[S3]], monkeypatch: pytest.MonkeyPatch
) -> S3:
    """A writable source on the bucket."""
    source = await opened(bucket.server.endpoint, bucket=bucket.name, writable=True)
    return await _with_keys(source, bucket, opened, monkeypatch)


async def _with_keys(
    _: S3,
    bucket: SeededBucket,
    opened: Callable[..., Awaitable[S3]],
    monkeypatch: pytest.MonkeyPatch,
    **options: Any,
) -> S3:
    monkeypatch.setenv("S3_ACCESS", bucket.server.access_key)
    monkeypatch.setenv("S3_SECRET", bucket.server.secret_key)
    return await opened(bucket.server.endpoint, bucket=bucket.name, writable=True, **options)
