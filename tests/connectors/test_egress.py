"""Where a connector may connect to: a list of addresses that try, and a trap that counts."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway.connector.context import Context
from gateway.connector.egress import EgressPolicy, GuardedResolver
from gateway.errors import ConfigInvalid, Unavailable

#: Hosts that the strict policy names; everything else about them must still be refused.
NAMED = ("files.example", "localhost", "127.0.0.1", "::1", "169.254.169.254", "rebind.example")

#: Ways to write 127.0.0.1, ::1 and other addresses inside; {p} is the port of the trap.
_INSIDE = """
127.0.0.1 127.0.0.2 127.1 127.0.1 0 0.0.0.0 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 017700000001
2130706433 127.0.0.1. 127.00.00.01 0x7F.0X0.0.0x1 [::1] [::] [0:0:0:0:0:0:0:1] [0000::0001]
[::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:7f00:0001] [::127.0.0.1] [::7f00:1]
[64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:1::1]
[::ffff:0:127.0.0.1] [::ffff:0:7f00:1] [2001:0:7f00:1::] [fe80::1] [fe80::1%25lo] [fec0::1]
[fc00::1] [fd00::1] [fd00:ec2::254] [ff02::1] [100::1] [2001:db8::1] [3fff::1] [5f00::1] [::2]
localhost LOCALHOST localhost. localhost.localdomain ip6-localhost ip6-loopback
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 169.254.169.254
169.254.0.1 100.64.0.1 100.127.255.255 192.0.0.1 192.0.2.1 198.18.0.1 198.19.255.255
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 0.0.0.1
[::ffff:10.0.0.1] [::ffff:169.254.169.254] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::] [2002:c0a8:1::]
[::ffff:192.168.0.1] [::10.0.0.1] rebind.example
"""
INSIDE = _INSIDE.split()

#: Addresses that two readers may read differently, or that hide who is asked.
TRICKS = [
    "http://files.example@127.0.0.1:{p}/", "http://files.example:80@127.0.0.1:{p}/",
    "http://files.example:{p}@127.0.0.1:{p}/", "http://user:pass@files.example:{p}/",
    "http://@files.example:{p}/", "http://:@files.example:{p}/",
    "http://127.0.0.1:{p}\\@files.example/", "http://127.0.0.1:{p}\\.files.example/",
    "http://files.example:{p}\\@127.0.0.1/", "http://files.example:{p}#@127.0.0.1/",
    "http://files.example:{p}/#", "http://files.example:{p}/#x", "http://127.0.0.1:{p}#.example",
    "http://127.0.0.1:{p}?.files.example", "http://127.0.0.1:{p}/files.example",
    "http://files.example.127.0.0.1.nip.example:{p}/", "http://files.example%00.evil.example:{p}/",
    "http://files.example%2f@127.0.0.1:{p}/", "http://127.0.0.1%23.files.example:{p}/",
    "http://files.example\t:{p}/", "http://files.example:{p}/\r\nHost: x", " http://localhost:{p}/",
    "http://local\thost:{p}/", "http://local\nhost:{p}/", "\x00http://localhost:{p}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{p}/", "http://①②⑦.⓪.⓪.①:{p}/", "http://127。0。0。1:{p}/",
    "http://files。example:{p}/", "http://fi\u200bles.example:{p}/", "http://files.example\u202e:{p}/",
    "http:///127.0.0.1:{p}/", "http:/127.0.0.1:{p}/", "http:127.0.0.1:{p}", "//127.0.0.1:{p}/",
    "http://[::1:{p}/", "http://::1:{p}/", "http://[::1]x:{p}/", "http://[]:{p}/", "http://:{p}/",
    "http://files.example:0/", "http://files.example:99999/", "http://files.example:-1/",
    "http://files.example:{p}x/", "http://files.example:80:{p}/",
    "file:///etc/passwd", "gopher://127.0.0.1:{p}/_", "ftp://127.0.0.1:{p}/", "ws://localhost:{p}/",
    "unix:///run/x.sock", "http+unix://%2Frun%2Fx.sock/", "data:text/plain,x", "javascript:1", "",
    "http://", "http://-files.example:{p}/", "http://.files.example:{p}/", "http://*:{p}/",
]  # fmt: skip


class Trap:
    """Listens on every address of the machine and counts who comes."""

    def __init__(self) -> None:
        self.hits = 0
        self.port = 0

    async def _come(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntrap")
        writer.close()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._come, ["0.0.0.0"], 0)
        self.port = server.sockets[0].getsockname()[1]
        return server


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    made = Trap()
    server = await made.start()
    sixth = None
    if socket.has_ipv6:
        try:
            sixth = await asyncio.start_server(made._come, ["::"], made.port)
        except OSError:  # a machine without IPv6: there the connection fails by itself
            sixth = None
    yield made
    for one in filter(None, (server, sixth)):
        one.close()
        await one.wait_closed()


Opened = Callable[[EgressPolicy], Context]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    """A context with that policy, closed after the test."""
    made: list[Context] = []

    def open_with(policy: EgressPolicy) -> Context:
        made.append(Context("firm/source", egress=policy, base=tmp_path, connect_timeout=0.3))
        return made[-1]

    yield open_with
    for context in made:
        await context.aclose()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names that are known besides the machine's own; a test changes where they lead."""
    known = {"files.example": "203.0.114.7", "rebind.example": "127.0.0.1"}
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        return real(known.get(host, host), port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def urls(port: int) -> list[str]:
    inside = [f"{scheme}://{host}:{port}/" for host in INSIDE for scheme in ("http",)]
    return inside + [t.replace("{p}", str(port)) for t in TRICKS]


def _passes(policy: EgressPolicy, url: str) -> bool:
    try:
        policy.check_url(url, option="url")
    except ConfigInvalid as e:
        return e.field != "url"
    return True


async def _answers(context: Context, url: str) -> bool:
    try:
        async with asyncio.timeout(2), context.http().get(url) as response:
            await response.read()
    except (aiohttp.ClientError, ValueError, OSError, TimeoutError):
        return False
    return True


async def test_nothing_leads_inside(trap: Trap, names: dict[str, str], opened: Opened):
    """Not when the options are checked, and not for a connector that forgot to."""
    tried = urls(trap.port)
    assert len(tried) >= 120
    policy = EgressPolicy(hosts=tuple(f"{n}:{trap.port}" for n in NAMED))
    everything = EgressPolicy(hosts=tuple(f"{h}:{trap.port}" for h in (*INSIDE, *NAMED)))
    context = opened(everything)
    named = [u for u in tried if "rebind.example" not in u and "localhost" not in u.lower()]
    assert [url for url in named if _passes(policy, url)] == []
    assert [url for url in tried if await _answers(context, url)] == []
    assert trap.hits == 0


async def test_the_trap_is_sharp(trap: Trap, opened: Opened):
    """What all of it would be worth without: the same session comes in where it may."""
    policy = EgressPolicy((f"127.0.0.1:{trap.port}",), (ipaddress.ip_network("127.0.0.0/8"),))
    policy.check_url(f"http://127.0.0.1:{trap.port}/")
    context = opened(policy)
    async with context.http().get(f"http://127.0.0.1:{trap.port}/") as response:
        assert await response.text() == "trap"
    assert trap.hits == 1


async def test_a_name_that_turns_round(trap: Trap, names: dict[str, str], opened: Opened):
    """DNS rebinding: public when it is checked, the machine itself when it is used."""
    policy = EgressPolicy((f"files.example:{trap.port}",))
    policy.check_url(f"http://files.example:{trap.port}/")
    assert policy.resolve("files.example", trap.port) == ["203.0.114.7"]
    names["files.example"] = "127.0.0.1"
    with pytest.raises(Unavailable):
        policy.resolve("files.example", trap.port)
    context = opened(policy)
    with pytest.raises(aiohttp.ClientConnectorError):
        await context.http().get(f"http://files.example:{trap.port}/")
    assert trap.hits == 0


async def test_a_redirect_leads_nowhere(trap: Trap, opened: Opened, unused_tcp_port: int):
    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://127.0.0.2:{trap.port}/")

    app = web.Application()
    app.router.add_get("/", away)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    policy = EgressPolicy(
        (f"127.0.0.1:{unused_tcp_port}",), (ipaddress.ip_network("127.0.0.1/32"),)
    )
    context = opened(policy)
    with pytest.raises(aiohttp.ClientConnectorError):  # though the call forgot to forbid it
        await context.http().get(f"http://127.0.0.1:{unused_tcp_port}/")
    await runner.cleanup()
    assert trap.hits == 0


async def test_an_unknown_or_impossible_name(names: dict[str, str]):
    policy = EgressPolicy(("*.example:80",))
    for host in ("weg.invalid", "a" * 70 + ".example", "a..example", "\ud800.example"):
        with pytest.raises(Unavailable):
            await asyncio.to_thread(policy.resolve, host, 80)
        with pytest.raises(OSError):
            await GuardedResolver(policy).resolve(host, 80)


@pytest.mark.parametrize(
    ("rule", "host", "port", "allowed"),
    [
        ("files.example:443", "files.example", 443, True),
        ("files.example:443", "FILES.Example.", 443, True),
        ("files.example:443", "files.example", 80, False),
        ("files.example:*", "files.example", 8443, True),
        ("files.example:443", "a.files.example", 443, False),
        ("files.example:443", "files.example.evil.example", 443, False),
        ("*.files.example:443", "a.files.example", 443, True),
        ("*.files.example:443", "a.b.files.example", 443, True),
        ("*.files.example:443", "files.example", 443, False),
        ("*.files.example:443", "evilfiles.example", 443, False),
        ("*:443", "anything.example", 443, False),
        ("files.example", "files.example", 443, False),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("2001:db8::1:443", "2001:db8::1", 443, True),
        ("", "", 443, False),
    ],
)
def test_rules(rule: str, host: str, port: int, allowed: bool):
    assert EgressPolicy((rule,)).allows_host(host, port) is allowed


def test_networks_that_are_named(names: dict[str, str]):
    office = EgressPolicy(("10.1.2.3:445",), (ipaddress.ip_network("10.1.0.0/16"),))
    office.check_host("10.1.2.3", 445)
    assert office.allows_address("10.1.255.1")
    assert not office.allows_address("10.2.0.1")
    assert office.allows_address("::ffff:10.1.2.3")  # the same, wrapped
    assert not office.allows_address("::ffff:10.2.0.1")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"]
)
def test_public_addresses(address: str):
    assert EgressPolicy().allows_address(address)


@given(st.ip_addresses(v=4))
def test_a_wrapper_changes_nothing(address: ipaddress.IPv4Address):
    policy = EgressPolicy()
    number = int(address)
    wrapped = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ]
    for one in wrapped:
        assert policy.allows_address(str(one)) is policy.allows_address(str(address))


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_refusal(text: str):
    policy = EgressPolicy(("files.example:80",))
    known = "http://files.example"
    for url in (text, f"http://{text}", f"{known}{text}", f"{known}/{text}"):
        try:
            policy.check_url(url)
        except ConfigInvalid:
            continue
        assert url.lower() == known or url.lower().startswith(tuple(known + c for c in "/:.?"))


async def test_the_guard_alone_says_how_many_are_under_way(tmp_path: Path, aiohttp_server):
    """A hundred documents that browsers take slowly hold as many connections, and no 101st waits
    for one of them."""
    all_here = asyncio.Barrier(100)

    async def answer(_: web.Request) -> web.Response:
        await all_here.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    server = await aiohttp_server(app)
    policy = EgressPolicy((f"127.0.0.1:{server.port}",), (ipaddress.ip_network("127.0.0.0/8"),))
    context = Context("firm/source", egress=policy, base=tmp_path)

    async def ask() -> int:
        url = server.make_url("/")
        async with context.http().get(url, allow_redirects=False) as response:
            return response.status

    try:
        assert await asyncio.gather(*(ask() for _ in range(100))) == [200] * 100
    finally:
        await all_here.abort()
        await context.aclose()
