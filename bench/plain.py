"""The obvious way to take documents in, as a peer: aiohttp, aiobotocore, one row. No checks.

``python -m bench.plain PORT DSN S3_URL ACCESS_KEY SECRET_KEY``: POST /stukken takes a multipart
whose parts are named by their keys in the bucket; POST /document/<key> takes a body of any size.
"""

import asyncio
import sys
from typing import Any

import asyncpg
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web

#: Bytes of one part, as boto3 makes them.
PART = 8 * 1024 * 1024
TABLE = "create table plain_stuk (id bigserial primary key, documents text[] not null)"


async def _whole(s3: Any, pool: Any, request: web.Request) -> web.Response:
    """Small documents: each is one PUT."""
    keys = []
    async for part in await request.multipart():
        body = await part.read()
        await s3.put_object(Bucket="bench", Key=part.name, Body=bytes(body))
        keys.append(part.name)
    id = await pool.fetchval("insert into plain_stuk (documents) values ($1) returning id", keys)
    return web.json_response({"id": id}, status=201)


async def _streamed(s3: Any, request: web.Request) -> web.Response:
    """A large one, in parts."""
    names = {"Bucket": "bench", "Key": request.match_info["key"]}
    upload = (await s3.create_multipart_upload(**names))["UploadId"]
    parts: list[dict[str, Any]] = []
    waiting = bytearray()

    async def send() -> None:
        number, body = len(parts) + 1, bytes(waiting[:PART])
        del waiting[:PART]
        told = await s3.upload_part(**names, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": told["ETag"]})

    async for piece in request.content.iter_any():
        waiting += piece
        if len(waiting) >= PART:
            await send()
    if waiting:
        await send()
    await s3.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": parts})
    return web.json_response({"key": names["Key"]}, status=201)


async def main(port: int, dsn: str, url: str, access_key: str, secret_key: str) -> None:
    """Serve until killed."""
    pool = await asyncpg.create_pool(dsn, max_size=16)
    made = get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=AioConfig(
            max_pool_connections=64,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    async with made as s3:

        async def whole(request: web.Request) -> web.Response:
            return await _whole(s3, pool, request)

        async def streamed(request: web.Request) -> web.Response:
            return await _streamed(s3, request)

        app = web.Application(client_max_size=2**30)
        app.router.add_post("/stukken", whole)
        app.router.add_post("/document/{key:.+}", streamed)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:6]))
