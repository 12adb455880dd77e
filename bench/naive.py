"""The obvious stack, as a peer: aiohttp, a pool, and an S3 client, one query after another.

``python -m bench.naive PORT DSN S3_URL ACCESS_KEY SECRET_KEY`` serves ``/<key>`` of the bucket.
"""

import asyncio
import hashlib
import sys

import asyncpg
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web

CHUNK = 64 * 1024


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
            max_pool_connections=1024,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    async with made as s3:

        async def document(request: web.Request) -> web.StreamResponse:
            digest = hashlib.sha256(request.cookies["sessie"].encode()).hexdigest()
            found = await pool.fetchrow(
                "select person, klant from naive_session where digest = $1 and ends > now()",
                digest,
            )
            if not found:
                raise web.HTTPForbidden
            granted = await pool.fetchrow(
                "select 1 from naive_access where person = $1 and klant = $2",
                found["person"],
                found["klant"],
            )
            if not granted:
                raise web.HTTPNotFound
            await pool.execute(
                "insert into naive_audit (person, key) values ($1, $2)",
                found["person"],
                request.match_info["key"],
            )
            answer = await s3.get_object(Bucket="bench", Key=request.match_info["key"])
            response = web.StreamResponse()
            response.content_length = answer["ContentLength"]
            await response.prepare(request)
            async with answer["Body"] as body:
                async for piece in body.iter_chunks(CHUNK):
                    await response.write(piece)
            return response

        app = web.Application()
        app.router.add_get("/{key:.+}", document)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:6]))
