"""Writes documents to S3, so that nobody sees one that is not whole.

Up to one part a document is one PUT, and larger ones are a multipart upload: S3 shows either
only when it has ended well, and an upload that is given up leaves nothing.

One PUT is sent by `wire`, which takes less than half of the time that aiobotocore does; the rest
by aiobotocore. Its client borrows the source's HTTP session. Left to itself it would resolve names
past the egress policy, use the proxies of the environment and follow redirects with its signature.
Source: Amazon S3 API Reference (PutObject, CompleteMultipartUpload); aiobotocore 3.10.
"""

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from gateway.connector.body import Announced
from gateway.connector.s3.wire import IDLE, Bucket, failure
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    TooLarge,
    Unavailable,
)

PART = 5 * 1024 * 1024  # the smallest part that S3 takes
COPIED_AT_MOST = 5 * 1024**3  # by one CopyObject
_NOTHING_OF_THE_MACHINE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class Uploader:
    """Puts documents into one bucket. keys: access key, secret key and token ("": none)."""

    def __init__(
        self,
        wire: Bucket,
        bucket: str,
        keys: Sequence[str],
        *,
        endpoint: str,
        region: str,
        path_style: bool,
    ) -> None:
        self._wire, self._bucket = wire, bucket
        self._options: dict[str, Any] = _options(wire.session, keys, endpoint, region, path_style)
        self._stack = AsyncExitStack()
        self._client: asyncio.Task[Any] | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def put(
        self,
        key: str,
        body: AsyncIterable[bytes],
        *,
        size: int | None,
        media_type: str | None,
        sha256: bytes | None,
        if_absent: bool,
    ) -> None:
        """Raises AlreadyExists, IntegrityError, what `body` raises, and what S3's errors mean."""
        parts = _parts(aiter(Announced(body, size, sha256)))
        first = await anext(parts)
        try:
            if len(first) < PART:
                condition = {"If-None-Match": "*"} if if_absent else {}
                async with self._turn(key):
                    await self._wire.put(
                        key, first, media_type=media_type or "", headers=condition
                    )
            else:
                await self._large(key, first, parts, media_type, if_absent=if_absent)
        except ConditionFailed as e:
            raise AlreadyExists(str(e), native=e.native) from None

    async def _large(
        self,
        key: str,
        first: bytes,
        rest: AsyncIterator[bytes],
        media_type: str | None,
        *,
        if_absent: bool,
    ) -> None:
        names = {"Bucket": self._bucket, "Key": key}
        kind = {"ContentType": media_type} if media_type else {}
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        client = await self._ready()
        with _translated():
            upload = await client.create_multipart_upload(**names, **kind)
            names["UploadId"] = upload["UploadId"]
            try:
                done = await _sent(client, names, first, rest)
                async with self._turn(key):
                    await client.complete_multipart_upload(
                        **names, **condition, MultipartUpload={"Parts": done}
                    )
            except BaseException:
                with suppress(BotoCoreError, ClientError):  # S3 shows no part of it either way
                    await asyncio.shield(client.abort_multipart_upload(**names))
                raise

    async def move(self, key: str, target: str, etag: str, size: int) -> None:
        """Copy and delete the object that has this ETag. Raises AlreadyExists, ConditionFailed,
        TooLarge, and what S3's errors mean."""
        if size > COPIED_AT_MOST:
            raise TooLarge(f"{size} bytes cannot be copied at once")
        bucket = {"Bucket": self._bucket}
        async with self._turn(target):
            client = await self._ready()
            with _translated():
                if await _is_there(client, target, bucket):
                    raise AlreadyExists
            try:
                with _translated():
                    await client.copy_object(
                        **bucket,
                        Key=target,
                        CopySource={**bucket, "Key": key},
                        CopySourceIfMatch=f'"{etag}"',
                        IfNoneMatch="*",
                        MetadataDirective="COPY",
                    )
            except AlreadyExists:  # or the source is another one: S3 has one code for both
                with _translated():
                    if await _is_there(client, target, bucket):
                        raise
                raise ConditionFailed from None
        try:
            with _translated():
                await client.delete_object(**bucket, Key=key, IfMatch=f'"{etag}"')
        except AlreadyExists:
            raise ConditionFailed from None

    async def aclose(self) -> None:
        """Close the client; the session stays."""
        if self._client is not None:
            await asyncio.wait([self._client])
        await self._stack.aclose()

    def _turn(self, key: str) -> asyncio.Lock:
        """One writer of a key at a time: SeaweedFS 4.48 looks whether it is there and writes it
        in two steps, and lets two writers win. Another process is kept out by the server alone.
        """
        return self._turns.setdefault(key, asyncio.Lock())

    async def _ready(self) -> Any:
        """The client, made when it is first needed: that takes 0.2 s, most of it in a thread."""
        if self._client is None:
            self._client = asyncio.create_task(self._made())
        return await asyncio.shield(self._client)

    async def _made(self) -> Any:
        session = AioSession(_NOTHING_OF_THE_MACHINE)
        await asyncio.to_thread(lambda: session.full_config)  # kept by the session
        made = session.create_client("s3", **self._options)
        return await self._stack.enter_async_context(made)


async def _is_there(client: Any, key: str, bucket: dict[str, str]) -> bool:
    try:
        await client.head_object(**bucket, Key=key)
    except ClientError as e:
        if e.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return False
        raise
    return True


def _options(
    session: aiohttp.ClientSession, keys: Sequence[str], endpoint: str, region: str, path: bool
) -> dict[str, Any]:
    """What the client is made of; nothing is left to its environment."""
    config = AioConfig(
        http_session_cls=_lent(session),
        proxies={},
        warm_up_loader_caches=True,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if path else "virtual"},
        # Services other than AWS trip over the checksums that botocore adds by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return {
        "endpoint_url": endpoint,
        "region_name": region,
        "aws_access_key_id": keys[0],
        "aws_secret_access_key": keys[1],
        "aws_session_token": keys[2] or None,
        "config": config,
    }


class _Borrowed:
    """The part of a session that aiobotocore uses, with redirects and endless waits taken out."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        connect = session.timeout.sock_connect
        self._timeout = aiohttp.ClientTimeout(sock_connect=connect, sock_read=IDLE)

    async def request(self, method: str, **options: Any) -> aiohttp.ClientResponse:
        """As the session's own."""
        options |= {"allow_redirects": False, "timeout": self._timeout, "proxy": None}
        url = options.pop("url")
        return await self._session.request(
            method, url, skip_auto_headers=("Content-Type",), **options
        )


def _lent(session: aiohttp.ClientSession) -> type[Any]:
    """aiobotocore's class of sessions, with ours in it."""
    borrowed = _Borrowed(session)

    async def ours(_: Any, __: str | None) -> _Borrowed:
        return borrowed

    return type("BorrowedSession", (AIOHTTPSession,), {"_get_session": ours})


async def _parts(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in parts of PART and a last one that may be smaller, or empty."""
    part = bytearray()
    async for piece in body:
        part += piece
        while len(part) >= PART:
            yield bytes(part[:PART])
            del part[:PART]
    yield bytes(part)


async def _sent(
    client: Any, names: dict[str, str], part: bytes, rest: AsyncIterator[bytes]
) -> list[Any]:
    """Upload the parts, one after the other, and gather the next one meanwhile; gives number and
    ETag of each."""
    done: list[Any] = []
    while part:
        number = len(done) + 1
        tasks = (
            asyncio.create_task(_next(rest)),
            asyncio.create_task(client.upload_part(**names, PartNumber=number, Body=part)),
        )
        try:
            part, answer = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    return done


async def _next(parts: AsyncIterator[bytes]) -> bytes:
    return await anext(parts, b"")


@contextmanager
def _translated() -> Iterator[None]:
    """Raises botocore's errors as ours."""
    try:
        yield
    except ClientError as e:
        about = e.response.get("ResponseMetadata", {})
        told = e.response.get("Error", {})
        headers = about.get("HTTPHeaders", {})
        found = failure(
            int(about.get("HTTPStatusCode", 0)),
            str(told.get("Code", "")),
            str(told.get("Message", "")),
            region=headers.get("x-amz-bucket-region") or str(told.get("Region", "")),
            wait=headers.get("retry-after", ""),
        )
        if isinstance(found, ConditionFailed):
            found = AlreadyExists(str(found), native=found.native)
        raise found from None
    except BotoCoreError as e:
        raise Unavailable(str(e), native=type(e).__name__) from None
