"""Byte ranges of HTTP (RFC 9110, section 14): one range, or the whole."""

import re
from dataclasses import dataclass

from gateway.errors import RangeNotSatisfiable

_RANGE = re.compile(r"^bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a document of `size` bytes: `length` bytes from `offset`."""

    offset: int
    length: int
    size: int

    @property
    def header(self) -> str:
        """Value of Content-Range."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{self.size}"


def parse(header: str, size: int) -> Span | None:
    """The range that a Range header asks of a document of `size` bytes.

    None: the whole is to be given (no range, several ranges, another unit, nonsense: RFC 9110
    lets a server ignore those). Raises RangeNotSatisfiable when it lies outside.
    """
    match = _RANGE.match(header.replace(" ", ""))
    if not match:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(int(suffix), size)
        if length == 0:
            raise RangeNotSatisfiable
        return Span(size - length, length, size)
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return None
    if start >= size:
        raise RangeNotSatisfiable
    return Span(start, end - start + 1, size)
