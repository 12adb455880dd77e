"""Who is at the other end, when trusted proxies stand in between (RFC 7239 in its older form)."""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """The client's address. peer: who connected to us. forwarded: X-Forwarded-For headers.

    Only what a trusted proxy says is believed: from the right, the first address that is not a
    trusted proxy itself. Anybody can send the header; without a trusted peer it is nothing.
    """
    hops = [h.strip() for line in forwarded for h in line.split(",")]
    address = peer
    while hops and trusted(address, proxies):
        nearer = hops.pop()
        if _parsed(nearer) is None:
            break
        address = nearer
    return address


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def trusted(text: str, proxies: Sequence[Network]) -> bool:
    """Whether an address is that of a trusted proxy."""
    address = _parsed(text)
    return address is not None and any(
        address in n for n in proxies if n.version == address.version
    )
