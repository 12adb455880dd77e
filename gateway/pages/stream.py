"""Documents on their way to a browser: block by block, never kept.

The first piece is there before the answer starts, so a missing document or a dead source is a
page with a status. After that the only honest way to tell of a failure is to break the
connection: a browser then says that the download failed, and nobody takes half a document for
a whole one.
"""

import asyncio
import re
from urllib.parse import quote

from aiohttp import web

from gateway import log
from gateway.connector.contract import CHUNK, Entry
from gateway.connector.guard import GuardedReader
from gateway.domain import dossier, media
from gateway.domain.media import Media, Showing
from gateway.errors import SourceError
from gateway.flows.dossier import Opened, Wish
from gateway.pages.context import here

#: Bytes of a document that is given in one write.
SMALL = CHUNK
#: Seconds that a browser may leave a piece untaken.
STALLED = 60.0

#: A document's own policy: it is not a page of ours, and nothing in it may reach one.
_POLICY = {
    Showing.INLINE: "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:;"
    " object-src 'self'; plugin-types application/pdf; frame-ancestors 'self'",
    Showing.SANDBOXED: "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " frame-ancestors 'self'",
    Showing.SAVED: "sandbox; default-src 'none'",
}
_TAG = re.compile(r'(?:W/)?"([^"]*)"')


def wish(request: web.Request, *, save: bool = False) -> Wish:
    """What the browser asks for."""
    headers = request.headers
    return Wish(
        range=headers.get("Range", ""),
        if_range=next(iter(_tags(headers.get("If-Range", ""))), headers.get("If-Range", "")),
        if_none_match=_tags(headers.get("If-None-Match", "")),
        head=request.method == "HEAD",
        purpose="save" if save else "view",
    )


def _tags(header: str) -> tuple[str, ...]:
    """The versions that a header names; none for a date or an empty header."""
    return tuple(_unquoted(t) for t in _TAG.findall(header))


def _unquoted(tag: str) -> str:
    return tag.replace("%22", '"')


def disposition(name: str, *, save: bool) -> str:
    """Content-Disposition with the name in ASCII and in full (RFC 6266)."""
    safe = dossier.file_name(name)
    plain = safe.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    kind = "attachment" if save else "inline"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def headers(entry: Entry, *, save: bool) -> dict[str, str]:
    """Headers of a document's answer, but for its length and range."""
    kind: Media = media.of(entry.name)
    saved = save or kind.showing is Showing.SAVED
    found = {
        "Content-Type": kind.type,
        "Content-Disposition": disposition(entry.name, save=saved),
        "Content-Security-Policy": _POLICY[Showing.SAVED if saved else kind.showing],
        "X-Frame-Options": "SAMEORIGIN",
        # Kept by no shared cache, and asked again each time; the version makes that cheap.
        "Cache-Control": "private, no-cache, no-transform" if entry.version else "no-store",
    }
    if entry.version:
        found["ETag"] = '"' + entry.version.replace('"', "%22") + '"'
    if entry.size is not None:
        found["Accept-Ranges"] = "bytes"
    return found


async def send(request: web.Request, opened: Opened, *, save: bool) -> web.StreamResponse:
    """The answer with a document, a part of it, its head alone, or "not modified"."""
    entry = opened.entry
    if opened.unchanged:
        return web.Response(status=304, headers=headers(entry, save=save))
    status, told = 206 if opened.span else 200, headers(entry, save=save)
    if opened.span is not None:
        told["Content-Range"] = opened.span.header
    length = opened.span.length if opened.span else _length(opened)
    if opened.reader is not None and length is not None and length <= SMALL:
        # In one write, and what is cut can still be told with a page.
        return web.Response(status=status, headers=told, body=await _whole(opened.reader))
    response = web.StreamResponse(status=status, headers=told)
    response.content_length = length
    await response.prepare(request)
    if opened.reader is not None:
        await pour(request, response, opened.reader)
    await response.write_eof()
    return response


def _length(opened: Opened) -> int | None:
    return opened.reader.length if opened.reader is not None else opened.entry.size


async def _whole(reader: GuardedReader) -> bytes:
    return b"".join([piece async for piece in reader])


async def pour(request: web.Request, response: web.StreamResponse, reader: GuardedReader) -> None:
    """Write every piece, at the browser's pace. A failure breaks the connection."""
    try:
        async for piece in reader:
            async with asyncio.timeout(STALLED):
                await response.write(piece)
    except (SourceError, TimeoutError) as e:
        log.get().warning("document_broken", error=type(e).__name__, request=here(request).id)
        broken(request)


def broken(request: web.Request) -> None:
    """Break the connection, so that nobody takes half for whole. Raises ConnectionResetError."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError("the document could not be sent whole")
