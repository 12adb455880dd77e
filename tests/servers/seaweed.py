"""A SeaweedFS for the tests of one process, and a bucket for each test."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from gateway.demo.seaweed import Seaweed, SeaweedError, binary

_BLOCK = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SeededBucket:
    """A bucket, and a stranger's client to fill it and look into it."""

    server: Seaweed
    name: str
    client: Any

    async def put(self, key: str, data: bytes = b"", **more: Any) -> str:
        """Write an object; gives its ETag."""
        answer = await self.client.put_object(Bucket=self.name, Key=key, Body=data, **more)
        return str(answer["ETag"]).strip('"')

    async def put_large(self, key: str, size: int) -> bytes:
        """Write `size` bytes, a block at a time; gives their SHA-256."""
        names = {"Bucket": self.name, "Key": key}
        upload = await self.client.create_multipart_upload(**names)
        names["UploadId"] = upload["UploadId"]
        block, digest, parts = os.urandom(_BLOCK), sha256(), []
        for number, start in enumerate(range(0, size, _BLOCK), 1):
            part = block[: size - start]
            digest.update(part)
            answer = await self.client.upload_part(**names, PartNumber=number, Body=part)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        await self.client.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
        return digest.digest()

    async def get(self, key: str) -> bytes:
        """The bytes of an object."""
        answer = await self.client.get_object(Bucket=self.name, Key=key)
        async with answer["Body"] as body:
            return bytes(await body.read())

    async def remove(self, key: str) -> None:
        """Take an object away."""
        await self.client.delete_object(Bucket=self.name, Key=key)

    async def keys(self) -> set[str]:
        """Every key in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {o["Key"] async for page in pages for o in page.get("Contents", [])}

    async def unfinished(self) -> int:
        """Uploads that were begun and neither completed nor given up."""
        answer = await self.client.list_multipart_uploads(Bucket=self.name)
        return len(answer.get("Uploads", []))


@contextmanager
def serve(folder: Path) -> Iterator[Seaweed]:
    """The server, until the block ends, with the signatures checked. Skips when it is absent."""
    try:
        binary()
    except SeaweedError:
        pytest.skip("no weed: install the extra 'demo'")
    with Seaweed(folder) as server:
        yield server


def client(server: Seaweed) -> Any:
    """A client that is not ours; a context manager."""
    return AioSession().create_client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=AioConfig(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=32,
        ),
    )


@asynccontextmanager
async def fresh(server: Seaweed, *, keep: bool = False) -> AsyncIterator[SeededBucket]:
    """A fresh, empty bucket; taken away at the end unless it is to be kept."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    async with client(server) as stranger:
        await stranger.create_bucket(Bucket=name)
        yield SeededBucket(server, name, stranger)
        if not keep:
            await stranger.delete_bucket(Bucket=name)
