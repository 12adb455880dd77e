"""What the network does to an HTTP call, in the words of the contract."""

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from gateway.errors import DeadlineExceeded, ProtocolError, SourceError, Unavailable


@contextmanager
def translated(cut: type[SourceError]) -> Iterator[None]:
    """Raises aiohttp's errors as ours; `cut`: for an answer that ended before its end."""
    try:
        yield
    except aiohttp.ServerTimeoutError as e:
        raise DeadlineExceeded(phase="connect", native=type(e).__name__) from None
    except aiohttp.ClientPayloadError as e:
        raise cut("the answer ended early", native=type(e).__name__) from None
    except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as e:
        # Its own text ends with the whole address, and so with the name of a document.
        what = getattr(e, "message", "")
        raise ProtocolError(f"not HTTP: {what}"[:200], native=type(e).__name__) from None
    except (aiohttp.ClientError, OSError) as e:
        raise Unavailable(str(e), native=type(e).__name__) from None


async def body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body of a small answer. Raises ProtocolError when it is not small."""
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > most:
            response.close()
            raise ProtocolError(f"an answer of more than {most} bytes")
    return bytes(found)
