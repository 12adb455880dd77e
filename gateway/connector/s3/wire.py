"""S3's own words over HTTP: signed requests, listings and what its errors mean.

Signing, sending and reading a listing are done here, because botocore keeps the event loop
some five times as long for a request, and seven times for a listing (bench/s3.py).
Source: Amazon S3 API Reference (ListObjectsV2, Error Responses).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import aiohttp
from yarl import URL

from gateway.connector.outside import body, translated
from gateway.connector.s3.sigv4 import Signer, encode_path, encode_query
from gateway.domain.xml import Element, local, parse
from gateway.errors import (
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
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

#: What S3's codes mean to us, and the option at fault.
CODES: Mapping[str, tuple[type[SourceError], str]] = {
    "NoSuchKey": (NotFound, ""),
    "NoSuchVersion": (NotFound, ""),
    "MethodNotAllowed": (NotFound, ""),  # the newest version is a delete marker
    "KeyTooLongError": (NotFound, ""),
    "NoSuchBucket": (ConfigInvalid, "bucket"),
    "InvalidBucketName": (ConfigInvalid, "bucket"),
    "PermanentRedirect": (ConfigInvalid, "region"),
    "TemporaryRedirect": (ConfigInvalid, "region"),
    "AuthorizationHeaderMalformed": (ConfigInvalid, "region"),
    "RequestTimeTooSkewed": (ConfigInvalid, ""),
    "AccessDenied": (PermissionDenied, ""),
    "AllAccessDisabled": (PermissionDenied, ""),
    "InvalidAccessKeyId": (AuthFailed, "access_key"),
    "SignatureDoesNotMatch": (AuthFailed, "secret_key"),
    "ExpiredToken": (AuthFailed, "session_token"),
    "InvalidToken": (AuthFailed, "session_token"),
    "InvalidObjectState": (Unsupported, ""),  # archived: it must be restored first
    "NotImplemented": (Unsupported, ""),
    "PreconditionFailed": (ConditionFailed, ""),
    "ConditionalRequestConflict": (ConditionFailed, ""),
    "InvalidArgument": (ConditionFailed, ""),  # a continuation token that is no longer known
    "InvalidRange": (RangeNotSatisfiable, ""),
    "EntityTooLarge": (TooLarge, ""),
    "SlowDown": (RateLimited, ""),
    "ServiceUnavailable": (RateLimited, ""),
    "RequestLimitExceeded": (RateLimited, ""),
    "InternalError": (Unavailable, ""),
    "RequestTimeout": (Unavailable, ""),
}
#: The same by HTTP status, for answers without a code (a HEAD has none) or not from S3.
STATUSES: Mapping[int, type[SourceError]] = {
    401: AuthFailed,
    403: PermissionDenied,
    404: NotFound,
    412: ConditionFailed,
    416: RangeNotSatisfiable,
    429: RateLimited,
}

#: Seconds that S3 may think about what was written.
IDLE = 60.0
_FIELDS = ("Key", "Size", "LastModified", "ETag")
_LONGEST_LISTING = 4 * 1024 * 1024  # 1,000 of the longest keys, each byte written as %XX
_LONGEST_ERROR = 64 * 1024


class Row(NamedTuple):
    """One object of a listing. modified: to the second, as a HEAD tells it."""

    key: str
    size: int
    modified: datetime
    etag: str


class Bucket:
    """One bucket, with the keys to it. session: the source's, which minds the egress policy.

    origin: scheme, host and port. path: what stands before a key, ending in "/".
    """

    def __init__(
        self, session: aiohttp.ClientSession, origin: URL, path: str, signer: Signer
    ) -> None:
        self.session, self._origin, self._path = session, str(origin), path
        self._signer = signer

    def __str__(self) -> str:
        return f"{self._origin}{self._path}"

    async def send(
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer, its body still to come. Raises SourceError for any but 200 and 206."""
        path, text = self._path + encode_path(key), encode_query(query or {})
        signed = self._signer.headers(method, path, text)
        return await self._asked(method, path, text, {**signed, **(headers or {})})

    async def put(
        self, key: str, body: bytes, *, media_type: str = "", headers: Mapping[str, str]
    ) -> None:
        """Write an object; the hash of its bytes is signed too. Raises SourceError."""
        path, payload = self._path + encode_path(key), sha256(body).hexdigest()
        signed = self._signer.headers("PUT", path, payload=payload, media_type=media_type)
        response = await self._asked(
            "PUT", path, "", {**signed, **headers},
            data=BytesIO(body) if len(body) > 2**20 else body,  # aiohttp sends that in pieces
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(
                sock_connect=self.session.timeout.sock_connect, sock_read=IDLE
            ),
        )  # fmt: skip
        response.release()

    async def _asked(
        self, method: str, path: str, query: str, headers: Mapping[str, str], **more: Any
    ) -> aiohttp.ClientResponse:
        url = URL(f"{self._origin}{path}{'?' if query else ''}{query}", encoded=True)
        with translated(Unavailable):
            response = await self.session.request(
                method,
                url,
                headers={"accept-encoding": "identity", **headers},
                allow_redirects=False,
                **more,
            )
        if response.status not in (200, 206):
            raise await _failure(response)
        return response

    async def page(self, prefix: str, token: str, limit: int) -> tuple[list[Row], str]:
        """Objects below a prefix as S3 tells them, and its token for the rest ("": no rest).

        Raises ProtocolError when a key outside the prefix comes back.
        """
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(limit)}
        query["encoding-type"] = "url"  # keys may hold characters that XML cannot
        if token:
            query["continuation-token"] = token
        try:
            response = await self.send("GET", query=query)
        except PermissionDenied:
            raise
        except NotFound as e:  # a prefix is always found: this is no bucket
            raise ConfigInvalid(str(e), native=e.native, field="endpoint") from None
        with translated(Unavailable):
            rows, more = _rows(await body(response, _LONGEST_LISTING))
        if len(rows) > limit or not all(row.key.startswith(prefix) for row in rows):
            raise ProtocolError("a listing holds keys that were not asked for")
        return rows, more


def failure(
    status: int, code: str, text: str = "", *, region: str = "", wait: str = ""
) -> SourceError:
    """What an error of S3 means.

    code: empty when the answer held none. region: where the bucket lives, when S3 told.
    wait: the Retry-After header.
    """
    kind, field = CODES.get(code) or (STATUSES.get(status) or _by_class(status, wait), "")
    if code == "RequestTimeTooSkewed":
        text = f"{text} (the clock of this machine or of the service is wrong)"
    if region and kind is ConfigInvalid:
        text, field = f"{text} (the bucket lies in region {region})", "region"
    return kind(
        f"{status} {code or 'without a code'} {text}".strip()[:300],
        native=code or str(status),
        field=field,
        retry_after=float(wait) if wait.isdecimal() else None,
    )


def _by_class(status: int, wait: str) -> type[SourceError]:
    if status == 503 and wait:
        return RateLimited
    if status >= 500:
        return Unavailable
    return ConfigInvalid if 300 <= status < 400 else ProtocolError


async def _failure(response: aiohttp.ClientResponse) -> SourceError:
    """The error in an answer; whatever is wrong with its body, the status still counts."""
    try:
        with translated(Unavailable):
            root = parse(await body(response, _LONGEST_ERROR))
        found = {local(e.tag): (e.text or "").strip() for e in root}
    except SourceError:
        found = {}
    response.close()
    headers = response.headers
    return failure(
        response.status,
        found.get("Code", ""),
        found.get("Message", ""),
        region=headers.get("x-amz-bucket-region") or found.get("Region", ""),
        wait=headers.get("Retry-After", ""),
    )


def _rows(data: bytes) -> tuple[list[Row], str]:
    """Objects of a ListBucketResult, and the token for the rest. Raises ProtocolError."""
    root = parse(data)
    if local(root.tag) != "ListBucketResult":
        raise ProtocolError(f"a listing was expected, not {local(root.tag)[:40]}")
    space = str(root.tag).removesuffix("ListBucketResult")
    encoded = root.findtext(f"{space}EncodingType") == "url"
    try:
        rows = [_row(*cells, encoded=encoded) for cells in _cells(root, space)]
    except (AttributeError, TypeError, ValueError) as e:  # an empty element has no text
        raise ProtocolError(f"a listing holds an object that is none: {e}") from None
    if root.findtext(f"{space}IsTruncated") != "true":
        return rows, ""
    more = root.findtext(f"{space}NextContinuationToken")
    if not more:
        raise ProtocolError("a listing is cut off without a way to go on")
    return rows, more


def _cells(root: Element, space: str) -> Iterator[tuple[Any, ...]]:
    """Texts of `_FIELDS` of each object. Raises ValueError when one has not just these.

    One walk over the tree: asking each object for each field takes six times as long.
    """
    wanted = [f"{space}{name}" for name in _FIELDS]
    found = list(root.iter(*wanted))
    tags, texts = [e.tag for e in found], [e.text for e in found]
    width = len(wanted)
    order = tags[:width]
    if tags != order * (len(tags) // width) or (tags and set(order) != set(wanted)):
        raise ValueError("a field is missing, or there twice")
    columns = {tag: texts[place::width] for place, tag in enumerate(order)}
    return zip(*(columns.get(tag, ()) for tag in wanted), strict=True)


def _row(key: str, size: str, modified: str, etag: str, *, encoded: bool) -> Row:
    return Row(
        unquote_plus(key, errors="strict") if encoded else key,
        int(size),
        datetime.fromisoformat(modified).replace(microsecond=0),
        etag.strip('"'),
    )
