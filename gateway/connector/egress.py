"""Where a connector may connect to: an allow-list, held before and after name resolution.

Configuration says which host names and ports exist for us (trust.md case 16). An address that
a name resolves to is refused when it is not public, unless it lies in an allowed network: a
name that is re-pointed at the machine itself (DNS rebinding) leads nowhere. Redirects are not
followed by anyone, and the last look is at the address of the very connection that is made
(`EgressPolicy.socket`).
"""

import errno
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from gateway.errors import ConfigInvalid, Unavailable

AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS = {"http": 80, "https": 443}
#: IPv6 networks whose last 32 bits are an IPv4 address: compatible (RFC 4291), NAT64, translated.
_WRAPPERS = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "::ffff:0:0:0/96")))
#: What IPv6 has given out as public so far; Python takes some of the rest for public too.
_PUBLIC = ipaddress.IPv6Network("2000::/3")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
#: What two readers of an address may read differently.
_UNCLEAR = re.compile(r"[\x00-\x20\x7f\\]|[^\x00-\x7f]")


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 wrapper, else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in n for n in _WRAPPERS) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC:
        return False
    return address.is_global and not address.is_multicast


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """hosts: ``name:port`` with ``*`` for any port and ``*.`` for any name below a domain.

    networks: ranges that are not public and yet may be connected to.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = field(default=())

    def allows_host(self, host: str, port: int) -> bool:
        """Whether the list names this host and port."""
        host = host.lower().rstrip(".")
        for rule in self.hosts:
            name, _, ports = rule.lower().rpartition(":")
            name = name.strip("[]")
            if ports not in ("*", str(port)):
                continue
            if name == host or (name.startswith("*.") and host.endswith(name[1:])):
                return True
        return False

    def allows_address(self, text: str) -> bool:
        """Whether a connection to this address may be made."""
        try:
            address = _plain(ipaddress.ip_address(text.split("%")[0]))
        except ValueError:
            return False
        if _is_public(address):
            return True
        return any(address in n for n in self.networks if n.version == address.version)

    def check_host(self, host: str, port: int, *, option: str = "") -> None:
        """Raises ConfigInvalid when the list does not name it, or it is a refused address."""
        bare = host.strip("[]").lower().rstrip(".")
        if not (_is_address(bare) or _NAME.fullmatch(bare)):
            raise ConfigInvalid("no name or address of a host", field=option)
        if not self.allows_host(bare, port):
            raise ConfigInvalid(f"egress does not allow {host}:{port}", field=option)
        if _is_address(bare) and not self.allows_address(bare):
            raise ConfigInvalid(f"egress does not allow the network of {host}", field=option)

    def check_url(self, url: str, *, option: str = "") -> None:
        """The same for an http or https address without user information or fragment."""
        try:
            parts = urlsplit(url)
            port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        except ValueError:
            raise ConfigInvalid("not an address", field=option) from None
        if _UNCLEAR.search(url) or "#" in url:
            raise ConfigInvalid("a character that no address has as it is", field=option)
        if parts.scheme not in _PORTS or not parts.hostname or not port:
            raise ConfigInvalid("an http or https address is expected", field=option)
        if "@" in parts.netloc:
            raise ConfigInvalid("no user information in an address", field=option)
        self.check_host(parts.hostname, port, option=option)

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """Addresses of `host` that may be connected to; blocking. Raises Unavailable when none.

        For libraries that connect by themselves: give them an address of these, not the name.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as e:
            native = str(e.errno) if isinstance(e, OSError) else ""
            raise Unavailable(f"{host} is not known", native=native) from None
        allowed = [str(f[4][0]) for f in found if self.allows_address(str(f[4][0]))]
        if not allowed:
            raise Unavailable(f"egress refuses every address of {host}")
        return allowed

    def socket(self, info: AddrInfo) -> socket.socket:
        """The socket for a connection; for whoever makes one, by whatever way it came by the
        address. Raises OSError for one that is refused."""
        family, kind, protocol, _, address = info
        if not self.allows_address(str(address[0])):
            raise OSError(errno.EACCES, f"egress refuses {address[0]}")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    return True


class GuardedResolver(AbstractResolver):
    """Resolves for aiohttp and drops the addresses that the policy refuses."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As aiohttp's, filtered. Raises OSError when the policy leaves nothing."""
        if not self._policy.allows_host(host, port):
            raise OSError(f"egress does not allow {host}:{port}")
        try:
            found = await self._inner.resolve(host, port, family)
        except UnicodeError:
            raise OSError(f"{host} is no name of a host") from None
        allowed = [r for r in found if self._policy.allows_address(r["host"])]
        if not allowed:
            raise OSError(f"egress refuses every address of {host}")
        return allowed

    async def close(self) -> None:
        """Nothing to close."""
        await self._inner.close()
