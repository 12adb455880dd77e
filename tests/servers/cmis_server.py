"""A small CMIS 1.1 repository over the Browser binding, from the OASIS text, on a folder.

No Debian, PyPI or npm package carries a CMIS server, so this one stands in. It shares no code
with the connector, and has the manners that were seen of Apache OpenCMIS: a wrong password is
403, content comes in chunks without its length, a part does not tell where it ends, an empty
document has no content at all, and an id says where an object is.
"""

import asyncio
import base64
import contextlib
import mimetypes
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

USER, PASSWORD, TOKEN = "portaal", "wachtwoord é", "een-token"
REPOSITORY = "dossiers"
STATUS = {
    "objectNotFound": 404,
    "permissionDenied": 403,
    "invalidArgument": 400,
    "constraint": 409,
    "nameConstraintViolation": 409,
    "notSupported": 405,
    "streamNotSupported": 403,
}


class Said(Exception):
    """A CMIS exception."""


class CmisServer:
    """folder: what it keeps. asked: the calls that came, as "METHOD selector or action"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.order = "none"
        self.ranges = True
        self.length = False
        self.form_lengths: list[int | None] = []
        self.closed: set[str] = set()  # names that nobody may see
        self.root_url = ""  # what it calls its root folder, when not what it is

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/cmis/browser", self._service)
        app.router.add_route("*", f"/cmis/browser/{REPOSITORY}/root{{path:.*}}", self._object)
        return app

    # --- the service

    async def _service(self, request: web.Request) -> web.Response:
        self.asked.append("GET service")
        if not self._knows(request):
            return _exception("permissionDenied", "Invalid username or password")
        base = f"http://{request.host}/cmis/browser/{REPOSITORY}"
        info = {
            "repositoryId": REPOSITORY,
            "repositoryName": "Dossiers",
            "cmisVersionSupported": "1.1",
            "capabilities": {"capabilityOrderBy": self.order},
            "rootFolderId": _id(""),
            "repositoryUrl": base,
            "rootFolderUrl": self.root_url or f"{base}/root",
        }
        return web.json_response({REPOSITORY: info})

    def _knows(self, request: web.Request) -> bool:
        told = request.headers.get("Authorization", "")
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return told in (f"Basic {basic}", f"Bearer {TOKEN}")

    # --- objects

    async def _object(self, request: web.Request) -> web.StreamResponse:
        if not self._knows(request):
            return _exception("permissionDenied", "Invalid username or password")
        raw = request.raw_path.partition("?")[0].partition(f"/{REPOSITORY}/root")[2]
        try:
            parts = [unquote(p, errors="strict") for p in raw.split("/")[1:] if p]
            if any("/" in p or "\0" in p or p in (".", "..") for p in parts):
                raise Said("invalidArgument")
            if "objectId" in request.query:
                parts = _path(request.query["objectId"])
            if self.closed & set(parts):
                raise Said("permissionDenied")
            path = self.folder.joinpath(*parts)
            if request.method == "POST":
                return await self._act(request, path)
            selector = request.query["cmisselector"]
            self.asked.append(f"GET {selector}")
            if not await asyncio.to_thread(os.path.lexists, path):
                raise Said("objectNotFound")
            if selector == "children":
                return web.json_response(await asyncio.to_thread(self._children, request, path))
            if selector == "content":
                return await self._content(request, path)
            return web.json_response(self._told(path))
        except Said as e:
            return _exception(str(e), "said so")
        except (OSError, UnicodeError, ValueError) as e:
            return _exception("objectNotFound", type(e).__name__)

    def _told(self, path: Path) -> dict[str, Any]:
        status = path.stat()
        below = path.relative_to(self.folder).as_posix()
        told: dict[str, Any] = {
            "cmis:objectId": _id("" if below == "." else below),
            "cmis:name": path.name,
            "cmis:baseTypeId": "cmis:folder" if path.is_dir() else "cmis:document",
            "cmis:objectTypeId": "cmis:folder" if path.is_dir() else "cmis:document",
            "cmis:lastModificationDate": status.st_mtime_ns // 1_000_000,
            "cmis:changeToken": None,
        }
        if path.is_file():
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            told["cmis:contentStreamMimeType"] = kind
            told["cmis:contentStreamLength"] = status.st_size or None
        return {"succinctProperties": told}

    def _children(self, request: web.Request, path: Path) -> dict[str, Any]:
        if not path.is_dir():
            raise Said("invalidArgument")
        if "orderBy" in request.query and self.order == "none":
            raise Said("invalidArgument")
        names = [n for n in os.listdir(path) if n not in self.closed]
        names.sort(key=str.lower, reverse=self.order == "none")
        skip, most = int(request.query["skipCount"]), int(request.query["maxItems"])
        some = names[skip : skip + most]
        rows = [{"object": self._told(path / n), "pathSegment": n} for n in some]
        return {"objects": rows, "hasMoreItems": len(names) > skip + most, "numItems": len(names)}

    async def _content(self, request: web.Request, path: Path) -> web.StreamResponse:
        if not path.is_file():
            raise Said("streamNotSupported")
        size = path.stat().st_size
        if not size:
            raise Said("constraint")
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        start, end = 0, size
        response = web.StreamResponse()
        if asked and self.ranges:
            start = int(asked[1])
            end = min(size, int(asked[2]) + 1) if asked[2] else size
            response.set_status(206)
            if self.length:
                response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        response.content_type = "application/octet-stream"
        if self.length:
            response.content_length = end - start
        await response.prepare(request)
        with path.open("rb") as file:
            file.seek(start)
            while piece := await asyncio.to_thread(file.read, min(1 << 18, end - file.tell())):
                await response.write(piece)
        await response.write_eof()
        return response

    # --- changing

    async def _act(self, request: web.Request, path: Path) -> web.Response:
        fields: dict[str, str] = {}
        kept: Path | None = None
        self.form_lengths.append(request.content_length)
        try:
            async for part in await request.multipart():
                assert isinstance(part, BodyPartReader)
                if part.name == "content":
                    kept = self.folder.parent / f"upload-{os.urandom(8).hex()}"
                    with kept.open("wb") as file:
                        while piece := await part.read_chunk(1 << 18):
                            file.write(piece)
                else:
                    fields[part.name or ""] = (await part.read()).decode()
            return await asyncio.to_thread(self._acted, fields, path, kept)
        finally:
            if kept is not None:
                kept.unlink(missing_ok=True)

    def _acted(self, fields: dict[str, str], path: Path, kept: Path | None) -> web.Response:
        action = fields["cmisaction"]
        self.asked.append(f"POST {action}")
        numbers = [k[11:-1] for k in fields if k.startswith("propertyId[")]
        told = {fields[f"propertyId[{n}]"]: fields[f"propertyValue[{n}]"] for n in numbers}
        if not path.exists():
            raise Said("objectNotFound")
        if action == "delete":
            path.rmdir() if path.is_dir() else path.unlink()
            return web.Response()
        if action == "setContent":
            assert kept is not None
            os.replace(kept, path)
            return web.json_response(self._told(path), status=201)
        name = told["cmis:name"]
        if "/" in name or not name or not path.is_dir():
            raise Said("constraint")
        made = path / name
        try:
            if action == "createFolder":
                assert told["cmis:objectTypeId"] == "cmis:folder"
                made.mkdir()
            else:
                assert told["cmis:objectTypeId"] == "cmis:document"
                assert kept is not None
                os.link(kept, made)
        except FileExistsError:
            raise Said("nameConstraintViolation") from None
        return web.json_response(self._told(made), status=201)


def _id(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).decode() or "@root@"


def _path(id: str) -> list[str]:
    with contextlib.suppress(ValueError):
        return [p for p in base64.urlsafe_b64decode(id).decode().split("/") if p]
    raise Said("objectNotFound")


def _exception(name: str, text: str) -> web.Response:
    return web.json_response({"exception": name, "message": text}, status=STATUS[name])
