"""Where a connector may connect to: an allow-list, held before and after name resolution.

Configuration says which host names and ports exist for us (trust.md case 16). An address that
a name resolves to is refused when it is not public, unless it lies in an allowed network: a
name that is re-pointed at the machine itself (DNS rebinding) leads nowhere. Redirects are not
followed by anyone.
"""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from gateway.errors import ConfigInvalid, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS = {"http": 80, "https": 443}


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 wrapper (mapped, 6to4, NAT64), else the address."""
    if isinstance(address, ipaddress.IPv6Address):
        nat64 = ipaddress.ip_network("64:ff9b::/96")
        if address in nat64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


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
        if address.is_global and not address.is_multicast:
            return True
        return any(address in n for n in self.networks if n.version == address.version)

    def check_host(self, host: str, port: int, *, option: str = "") -> None:
        """Raises ConfigInvalid when the list does not name it, or it is a refused address."""
        bare = host.strip("[]")
        if not self.allows_host(bare, port):
            raise ConfigInvalid(f"egress does not allow {host}:{port}", field=option)
        if _is_address(bare) and not self.allows_address(bare):
            raise ConfigInvalid(f"egress does not allow the network of {host}", field=option)

    def check_url(self, url: str, *, option: str = "") -> None:
        """The same for an http or https address without user information or fragment."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise ConfigInvalid("not an address", field=option) from None
        if parts.scheme not in _PORTS or not parts.hostname or not port:
            raise ConfigInvalid("an http or https address is expected", field=option)
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ConfigInvalid("no user information or fragment in an address", field=option)
        self.check_host(parts.hostname, port, option=option)

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """Addresses of `host` that may be connected to; blocking. Raises Unavailable when none.

        For libraries that connect by themselves: give them an address of these, not the name.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as e:
            raise Unavailable(f"{host} is not known", native=str(e.errno)) from None
        allowed = [str(f[4][0]) for f in found if self.allows_address(str(f[4][0]))]
        if not allowed:
            raise Unavailable(f"egress refuses every address of {host}")
        return allowed


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
        found = await self._inner.resolve(host, port, family)
        allowed = [r for r in found if self._policy.allows_address(r["host"])]
        if not allowed:
            raise OSError(f"egress refuses every address of {host}")
        return allowed

    async def close(self) -> None:
        """Nothing to close."""
        await self._inner.close()
