"""Kind `sftp` on a real sshd, and on servers that lie."""

import asyncio
import contextlib
import os
import shutil
import socket
import stat
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import ValidationError

from connectors.sftp import Sftp
from gateway import log
from gateway.connector import walk
from gateway.connector.conformance import (
    MIB,
    NESTED,
    PERMANENT,
    Conformance,
    content,
    everything,
    hostile_ids,
    proxied,
)
from gateway.connector.contract import Capability, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.faultproxy import Mode
from gateway.connector.sftp import line as sftpline
from gateway.connector.sftp.line import ERRORS, error_of
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    ProtocolError,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from tests.connectors.worlds import (
    FOLDERS,
    LOOPBACK,
    FolderWorld,
    away_is_not_empty,
    body,
    both_refuse,
    changes_are_told,
    drafts,
    fail_to_put,
    hangs_and_goes_on,
    hostile_names,
    leave_early,
    names_lead_nowhere,
    pages_of_a_large_folder,
    port_of,
    survives_a_restart,
    until,
)
from tests.servers.process import HOST, serve
from tests.servers.sshd import Sshd


class SshdWorld(FolderWorld):
    """A folder of its own, filled past the server."""

    def __init__(self, sshd: Sshd, base: Path) -> None:
        super().__init__(sshd.path / f"kantoor-{uuid.uuid4().hex[:12]}", base)
        self.sshd = sshd
        self.path.mkdir()
        self._stack.callback(shutil.rmtree, self.path, ignore_errors=True)

    async def open(self, **options: Any) -> Sftp:
        told = {"host": HOST, "port": self.sshd.port, "path": str(self.path)}
        told |= {"username": self.sshd.user, "private_key": f"file:{self.sshd.private('user')}"}
        told |= {"host_keys": [self.sshd.public("host_ed25519")]}
        return await self.opened(Sftp, told | options)

    def wrong_credentials(self) -> dict[str, Any]:
        return {"private_key": f"file:{self.sshd.private('vreemd')}"}

    def upstream(self) -> tuple[str, int]:
        return HOST, self.sshd.port

    def through(self, port: int) -> dict[str, Any]:
        return {"port": port}


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    with serve(Sshd) as server:
        yield server


@pytest.fixture
async def world(sshd: Sshd, tmp_path: Path) -> AsyncIterator[SshdWorld]:
    async with aclosing(SshdWorld(sshd, tmp_path)) as made:
        yield made


class TestSftp(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class TestSftpByPassword(Conformance):
    """Another server (asyncssh's own), that takes a password and has no hard links."""

    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator["OtherWorld"]:
        async with OtherServer(tmp_path) as server, aclosing(OtherWorld(server, tmp_path)) as made:
            yield made

    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class Doorman(asyncssh.SSHServer):
    """Lets in who has the password, in the way that the server has."""

    def __init__(self, server: "OtherServer") -> None:
        self._server = server

    def begin_auth(self, username: str) -> bool:
        return self._server.way != "trivial"

    def password_auth_supported(self) -> bool:
        return self._server.way == "password"

    def validate_password(self, username: str, password: str) -> bool:
        self._server.tried.append(password)
        return (username, password) == ("kantoor", self._server.password)

    def kbdint_auth_supported(self) -> bool:
        return self._server.way == "keyboard-interactive"

    def get_kbdint_challenge(self, *_: str) -> Any:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self.validate_password(username, *responses)


class Plain(asyncssh.SFTPServer):
    """A server where no file has two names, and that keeps to one folder."""

    def __init__(self, chan: Any, root: Path) -> None:
        super().__init__(chan, chroot=os.fsencode(root))

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("no links")


class OtherServer:
    """asyncssh's own server in this process, with a kind of SFTP that a test may choose."""

    password = "wachtwoord van het kantoor"

    def __init__(
        self, base: Path, sftp: Callable[..., asyncssh.SFTPServer] = Plain, way: str = "password"
    ) -> None:
        self.root, self.way, self._sftp = base / "server", way, sftp
        self.root.mkdir()
        self.tried: list[str] = []
        self.key = asyncssh.generate_private_key("ssh-ed25519")

    @property
    def host_key(self) -> str:
        return self.key.export_public_key().decode()

    async def __aenter__(self) -> "OtherServer":
        self._server = await asyncssh.create_server(
            lambda: Doorman(self), HOST, 0, server_host_keys=[self.key],
            sftp_factory=lambda chan: self._sftp(chan, self.root),
        )  # fmt: skip
        self.port = self._server.get_port()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


class OtherWorld(FolderWorld):
    """The same, in that server."""

    def __init__(self, server: OtherServer, base: Path) -> None:
        super().__init__(server.root, base)
        self.server = server
        self.keep_password(server.password)

    async def open(self, **options: Any) -> Sftp:
        told = {"host": HOST, "port": self.server.port, "username": "kantoor"}
        told |= {"host_keys": [self.server.host_key], "password": "file:wachtwoord"}
        return await self.opened(Sftp, told | options)

    def wrong_credentials(self) -> dict[str, Any]:
        return {"password": "file:verkeerd"}

    def upstream(self) -> tuple[str, int]:
        return HOST, self.server.port

    def through(self, port: int) -> dict[str, Any]:
        return {"port": port}


# --- the connection


async def test_a_restart_of_the_server_is_survived(world: SshdWorld) -> None:
    await survives_a_restart(world, world.sshd, 8 * MIB, Unavailable)


async def test_twenty_calls_are_one_connection(world: SshdWorld) -> None:
    async with proxied(world) as behind:
        assert behind is not None
        proxy, connector = behind
        await asyncio.gather(*(connector.list(world.place) for _ in range(20)))
        assert proxy.connections == 1
        options = {**world.through(port_of(proxy)), **world.wrong_credentials()}
        wrong = await world.open(**options)
        calls = [wrong.list(world.place) for _ in range(20)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(e) for e in found} == {AuthFailed}
        assert proxy.connections == 2


async def test_a_server_that_hangs_can_be_left_and_goes_on(world: SshdWorld) -> None:
    await hangs_and_goes_on(world, world.sshd)


async def test_a_connection_that_stays_dead_is_made_again(
    world: SshdWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a firewall that forgot it: no answer, and no end either."""
    monkeypatch.setattr(sftpline, "_SILENCE", 1.0)
    async with proxied(world) as behind:
        assert behind is not None
        proxy, connector = behind
        await world.seed(world.place, PERMANENT, "a.txt", b"a")
        assert len(await everything(connector, world.place)) == 1
        proxy.mode = Mode.HANG
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connector.list(world.place)
        line = connector._calls._server._line
        await until(lambda: not line.alive)
        proxy.mode = Mode.PASS
        assert len(await everything(connector, world.place)) == 1
        assert proxy.connections == 2


async def test_what_is_left_is_closed_at_the_server(world: SshdWorld) -> None:
    await leave_early(world, world.sshd, 8 * MIB)
    await until(lambda: world.sshd.open_files() == 0)


async def test_the_address_is_the_one_that_was_checked(
    world: SshdWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that egress allows and that leads to the machine itself leads nowhere."""
    asked: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, world.sshd.port))]

    world.policy = EgressPolicy(("archief.example:*",))
    connector = await world.open(host="archief.example")
    again_policy = EgressPolicy(("archief.example:*",), LOOPBACK.networks)
    with monkeypatch.context() as patched:
        patched.setattr("gateway.connector.egress.socket.getaddrinfo", resolve)
        with pytest.raises(Unavailable, match="egress"):
            await connector.list(world.place)
        # A resolver that changed its mind since: the last look is at the socket.
        patched.setattr(EgressPolicy, "resolve", lambda *_: [HOST])
        with pytest.raises(Unavailable, match="egress refuses"):
            await connector.list(world.place)
    world.policy = again_policy
    with monkeypatch.context() as patched:
        patched.setattr("gateway.connector.egress.socket.getaddrinfo", resolve)
        again = await world.open(host="archief.example")
        assert await everything(again, world.place) == []
    assert asked[:1] == ["archief.example"]


async def test_nothing_of_this_machine_is_used(
    world: SshdWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither its known hosts nor its keys, agent or configuration."""
    ssh = tmp_path / "thuis" / ".ssh"
    ssh.mkdir(parents=True)
    known = f"[{HOST}]:{world.sshd.port} {world.sshd.public('host_ed25519')}\n"
    (ssh / "known_hosts").write_text(known)
    shutil.copy(world.sshd.private("user"), ssh / "id_ed25519")
    (ssh / "config").write_text(f"Host *\n  ProxyCommand touch {tmp_path}/gelopen\n")
    monkeypatch.setenv("HOME", str(tmp_path / "thuis"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    stranger = await world.open(host_keys=[world.sshd.public("vreemd")])
    with pytest.raises(AuthFailed):
        await stranger.list(world.place)
    keyless = await world.open(**world.wrong_credentials())
    with pytest.raises(AuthFailed):
        await keyless.list(world.place)
    assert await everything(await world.open(), world.place) == []
    assert not (tmp_path / "gelopen").exists()


# --- keys and passwords


async def test_the_keys_that_the_server_may_have(world: SshdWorld) -> None:
    for name in ("host_ed25519", "host_rsa"):  # each, though the server has both
        connector = await world.open(host_keys=[world.sshd.public(name)])
        assert await everything(connector, world.place) == []
    strange = world.sshd.public("vreemd")
    for keys in (
        [world.sshd.fingerprint("host_ed25519")],
        [f"{world.sshd.fingerprint('host_ed25519')}="],
        [strange, world.sshd.fingerprint("vreemd"), world.sshd.public("host_ed25519")],
    ):
        connector = await world.open(host_keys=keys)
        assert await everything(connector, world.place) == []


async def test_another_key_is_refused_before_any_secret_is_told(tmp_path: Path) -> None:
    async with OtherServer(tmp_path) as server:
        world = OtherWorld(server, tmp_path)
        other = asyncssh.generate_private_key("ssh-ed25519")
        for pin in (other.export_public_key().decode(), other.get_fingerprint()):
            connector = await world.open(host_keys=[pin])
            for call in (
                connector.list(world.place),
                connector.stat(world.place, f"{PERMANENT}/y"),
            ):
                with pytest.raises(AuthFailed) as told:
                    await call
                assert told.value.field == "host_keys"
                assert server.key.get_fingerprint() in str(told.value)
            report = await connector.check(Scope.CONNECTIVITY)
            assert [f.field for f in report.findings if not f.ok] == ["host_keys"]
        assert server.tried == []
        await world.aclose()


@pytest.mark.parametrize(
    "keys",
    [
        [], [""], ["SHA256:kort"], ["SHA256:" + "é" * 43], ["MD5:aa:bb"], ["ssh-ed25519 AAAA"],
        ["ssh-ed25519"], ["/etc/ssh/ssh_host_ed25519_key.pub"], ["*"],
    ],
)  # fmt: skip
async def test_keys_that_are_none(world: SshdWorld, keys: list[str]) -> None:
    with pytest.raises((ConfigInvalid, ValidationError), match="key"):
        await world.open(host_keys=keys)


async def test_a_host_certificate_is_no_key_that_is_known(tmp_path: Path) -> None:
    """One that a stranger signed for the pinned name, and that would do for a known authority."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    async with OtherServer(tmp_path) as server:
        own = asyncssh.generate_private_key("ssh-ed25519")
        signed = authority.generate_host_certificate(own, "proef", principals=[HOST])
        async with await asyncssh.create_server(
            lambda: Doorman(server), HOST, 0, server_host_keys=[(own, signed)]
        ) as lying:
            world = OtherWorld(server, tmp_path)
            connector = await world.open(port=lying.get_port())
            with pytest.raises((AuthFailed, ProtocolError)):
                await connector.list(world.place)
            assert server.tried == []
            await world.aclose()


async def test_a_key_with_a_passphrase(world: SshdWorld) -> None:
    (world.base / "zin").write_text(world.sshd.passphrase)
    (world.base / "fout").write_text("een andere zin")
    key = {"private_key": f"file:{world.sshd.private('geheim')}"}
    connector = await world.open(**key, passphrase="file:zin")
    assert await everything(connector, world.place) == []
    for options, field in (
        ({**key, "passphrase": "file:fout"}, "passphrase"),
        (key, "private_key"),
        ({"private_key": f"file:{world.sshd.folder / 'user.pub'}"}, "private_key"),
    ):
        with pytest.raises(ConfigInvalid) as told:
            await world.open(**options)
        assert told.value.field == field
        assert "zin" not in str(told.value).replace("zins", "")


@pytest.mark.parametrize("way", ["password", "keyboard-interactive", "trivial"])
async def test_ways_to_be_let_in(tmp_path: Path, way: str) -> None:
    async with OtherServer(tmp_path, way=way) as server:
        world = OtherWorld(server, tmp_path)
        connector = await world.open()
        if way == "trivial":  # who lets in everybody is not the server that knows us
            with pytest.raises(AuthFailed):
                await connector.list(world.place)
        else:
            assert await everything(connector, world.place) == []
            assert server.tried == [server.password]
        await world.aclose()


async def test_no_secret_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.configure(level="debug")
    async with OtherServer(tmp_path) as server:
        world = OtherWorld(server, tmp_path)
        connector, wrong = await world.open(), await world.open(**world.wrong_credentials())
        assert await everything(connector, world.place) == []
        with pytest.raises(AuthFailed) as told:
            await wrong.list(world.place)
        login = connector._calls._server._login
        seen = [repr(login), repr(connector._config), repr(vars(connector)), repr(told.value)]
        seen += [str(await wrong.check(Scope.READ, world.place)), *capfd.readouterr()]
        await world.aclose()
    assert not [text for text in seen if server.password in text or "verkeerd" in text]


@pytest.mark.parametrize(
    "options",
    [
        {"host": "10.0.0.1"}, {"host": "elders.example"}, {"path": "a/../b"}, {"path": "a\\b"},
        {"private_key": None}, {"username": ""}, {"private_key": "geheim"}, {"host": "a b"},
    ],
)  # fmt: skip
async def test_options_that_cannot_work(world: SshdWorld, options: dict[str, Any]) -> None:
    with pytest.raises((ConfigInvalid, ValidationError)):
        await world.open(**options)


async def test_a_folder_that_is_away_is_no_empty_dossier(world: SshdWorld) -> None:
    await away_is_not_empty(world, "path", path=f"{world.path}/weg")


async def test_an_account_without_sftp(tmp_path: Path) -> None:
    async with (
        OtherServer(tmp_path) as server,
        await asyncssh.create_server(
            lambda: Doorman(server), HOST, 0, server_host_keys=[server.key]
        ) as without,
    ):
        world = OtherWorld(server, tmp_path)
        connector = await world.open(port=without.get_port())
        with pytest.raises(ConfigInvalid):
            await connector.list(world.place)
        await world.aclose()


def test_every_error_of_theirs_is_one_of_ours() -> None:
    def below(kind: type[Exception]) -> list[type[Exception]]:
        return [e for s in kind.__subclasses__() for e in (s, *below(s))]

    for theirs in (*below(asyncssh.SFTPError), *below(asyncssh.DisconnectError)):
        made = theirs.__new__(theirs)
        Exception.__init__(made, "reden")
        assert isinstance(error_of(made), SourceError)
    assert all(issubclass(ours, SourceError) for ours in ERRORS.values())


# --- what is a document


async def test_links_at_the_server_are_no_documents(world: SshdWorld, tmp_path: Path) -> None:
    await world.seed(world.place, PERMANENT, "echt.txt", b"echt")
    await world.seed(world.other, PERMANENT, "geheim.txt", b"GEHEIM")
    (tmp_path / "buiten.txt").write_text("GEHEIM")
    folder = world.at(world.place, PERMANENT)
    (folder / "link.txt").symlink_to(world.at(world.other, PERMANENT, "geheim.txt"))
    (folder / "map").symlink_to(world.at(world.other, PERMANENT))
    (folder / "buiten").symlink_to(tmp_path)
    (folder / "zelf").symlink_to(".")
    world.at(world.place, NESTED).parent.rmdir()
    world.at(world.place, "").joinpath("Aangiften").symlink_to(world.at(world.other, PERMANENT))
    (world.path / "klanten" / "300003").symlink_to(world.at(world.other, "").parent)
    connector = await world.open(writable=True)
    assert [e.name for e in await everything(connector, world.place)] == ["echt.txt"]
    for id in ("link.txt", "map", "map/geheim.txt", "buiten/buiten.txt", "zelf/echt.txt"):
        await both_refuse(connector, world.place, f"{PERMANENT}/{id}")
    borrowed = Place("300003", "klanten/300003", FOLDERS)
    assert await everything(connector, borrowed) == []
    await both_refuse(connector, borrowed, f"{PERMANENT}/geheim.txt")
    for place, below in ((world.place, f"{PERMANENT}/map"), (borrowed, PERMANENT)):
        with pytest.raises(NotFound):
            await connector.put(place, below, "nieuw.txt", body(b"x"))
    with pytest.raises(AlreadyExists):
        await connector.put(world.place, PERMANENT, "link.txt", body(b"x"))
    await connector.put(world.place, PERMANENT, "link.txt", body(b"x"), if_absent=False)
    assert [p.name for p in world.at(world.other, PERMANENT).iterdir()] == ["geheim.txt"]
    assert world.at(world.other, PERMANENT, "geheim.txt").read_bytes() == b"GEHEIM"
    assert not (folder / "link.txt").is_symlink()


async def test_a_base_that_is_a_link_is_the_administrators(world: SshdWorld) -> None:
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    (world.path / "nu").symlink_to(world.path)
    connector = await world.open(path=f"{world.path}/nu")
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"a"


async def test_who_swaps_a_folder_for_a_link_while_it_is_read(world: SshdWorld) -> None:
    """Looked at again after the opening: what was swapped in between is not given."""
    await world.seed(world.place, f"{PERMANENT}/map", "a.txt", b"mijn")
    await world.seed(world.other, PERMANENT, "a.txt", b"GEHEIM")
    folder, theirs = world.at(world.place, f"{PERMANENT}/map"), world.at(world.other, PERMANENT)
    connector, id = await world.open(), f"{PERMANENT}/map/a.txt"
    line = await connector._calls._server.line()
    opening, listing = line.client.open, line.client.scandir

    async def swapped_open(*told: Any, **more: Any) -> Any:
        folder.rename(folder.with_name("weg"))
        folder.symlink_to(theirs)
        return await opening(*told, **more)

    line.client.open = swapped_open
    with pytest.raises(NotFound):
        await connector.read(world.place, id)
    folder.unlink()
    folder.with_name("weg").rename(folder)

    async def swapped_list(path: bytes) -> Any:
        if path.endswith(b"map"):
            folder.rename(folder.with_name("weg"))
            folder.symlink_to(theirs)
        async for name in listing(path):
            yield name

    line.client.open, line.client.scandir = opening, swapped_list
    assert [e.id for e in await everything(connector, world.place)] == []
    await until(lambda: world.sshd.open_files() == 0)


async def test_pipes_and_sockets_are_no_documents(world: SshdWorld) -> None:
    """Opening a pipe would hang the server for everybody."""
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    os.mkfifo(world.at(world.place, PERMANENT, "pijp"))
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(world.at(world.place, PERMANENT, "stopcontact")))
    connector = await world.open()
    async with asyncio.timeout(60):
        assert [e.name for e in await everything(connector, world.place)] == ["a.txt"]
        for name in ("pijp", "stopcontact"):
            await both_refuse(connector, world.place, f"{PERMANENT}/{name}")


async def test_five_thousand_hostile_names_lead_nowhere(world: SshdWorld) -> None:
    await names_lead_nowhere(world, world.path, hostile_names(7, 5_000))


async def test_names_that_only_unix_can_hold(world: SshdWorld) -> None:
    folder = os.fsencode(world.at(world.place, PERMANENT, "x").parent)
    kept = [b"a:b.txt", b"vraag?.txt", b"twee\nregels.txt", b"eind.", b" blank ", b"$(id)"]
    for name in (*kept, b"\xff\xfe.txt", b"terug\\streep", b"...", b". .", b".map-part-1"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(name)
    connector = await world.open()
    found = await everything(connector, world.place)
    assert sorted(e.name.encode() for e in found) == sorted(kept)
    for entry in found:
        assert await content(connector, world.place, entry.id) == entry.name.encode()
    await both_refuse(connector, world.place, f"{PERMANENT}/.map-part-1")


async def test_paging_through_a_large_folder(world: SshdWorld) -> None:
    await pages_of_a_large_folder(world)


async def test_a_document_that_changes_while_it_is_read(world: SshdWorld) -> None:
    await changes_are_told(world, 8 * MIB, MIB)


# --- writing


async def test_a_source_that_is_not_to_be_written_to(world: SshdWorld) -> None:
    connector = await world.open()
    assert not Capability.WRITE & connector.capabilities
    with pytest.raises(Unsupported):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"a"))
    assert list(world.path.iterdir()) == []


async def test_nobody_sees_a_document_before_it_is_whole(world: SshdWorld) -> None:
    async with proxied(world) as behind:
        assert behind is not None
        proxy, _ = behind
        connector = await world.open(**world.through(port_of(proxy)), writable=True)
        other, seen = await world.open(), list[list[str]]()

        async def cut() -> AsyncIterator[bytes]:
            yield bytes(3 * MIB)
            seen.append(world.names())
            assert await everything(other, world.place) == []
            proxy.mode, proxy.after = Mode.CUT, 0
            yield bytes(3 * MIB)
            raise AssertionError("a cut goes unseen")

        with pytest.raises(Unavailable):
            await connector.put(world.place, PERMANENT, "a.bin", cut())
        proxy.mode = Mode.PASS
        assert len(seen[0]) == 1
        assert seen[0][0].startswith(walk.PARTIAL)
        await until(lambda: world.names() == [])  # over another connection


async def test_what_fails_leaves_nothing_at_the_server(world: SshdWorld) -> None:
    connector = await world.open(writable=True)
    await fail_to_put(world, connector)
    await until(lambda: not [n for n in world.names() if n.startswith(walk.PARTIAL)])
    await until(lambda: world.sshd.open_files() == 0)
    folder = world.at(world.place, PERMANENT)
    assert {p.stat().st_size for p in folder.iterdir()} <= {2 * MIB}


async def test_what_a_dead_writer_left_goes_with_the_next(world: SshdWorld) -> None:
    connector = await world.open(writable=True)
    kept = drafts(world.at(world.place, PERMANENT, "x").parent)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"a"))
    assert set(world.names()) == {"a.txt", *kept}


@pytest.mark.parametrize("links", [True, False])
async def test_a_race_of_writers_has_one_winner(
    world: SshdWorld, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over two connections; by a second name, and by the protocol's rename."""
    sources = [await world.open(writable=True) for _ in range(2)]
    if not links:

        async def none(*_: Any) -> None:
            raise asyncssh.SFTPFailure("no links on this file system")

        monkeypatch.setattr(asyncssh.SFTPClient, "link", none)
    calls = [
        sources[n % 2].put(world.place, NESTED, "a.bin", body(f"schrijver {n}".encode() * 9_000))
        for n in range(8)
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(r, AlreadyExists) for r in results) == 7, results
    folder = world.at(world.place, NESTED)
    await until(lambda: [p.name for p in folder.iterdir()] == ["a.bin"])


async def test_a_server_that_cannot_replace_says_so(
    world: SshdWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is nothing to replace, it need not."""

    async def none(*_: Any) -> None:
        raise asyncssh.SFTPOpUnsupported("no such thing")

    connector = await world.open(writable=True)
    monkeypatch.setattr(asyncssh.SFTPClient, "posix_rename", none)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"een"), if_absent=False)
    with pytest.raises(Unsupported):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"twee"), if_absent=False)
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"een"


# --- moving


async def test_a_source_that_is_not_to_be_written_to_moves_nothing(world: SshdWorld) -> None:
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    connector = await world.open()
    assert not Capability.MOVE & connector.capabilities
    with pytest.raises(Unsupported):
        await connector.move(world.place, f"{PERMANENT}/a.txt", PERMANENT, "b.txt")


async def test_links_and_folders_are_not_moved_nor_moved_onto(world: SshdWorld) -> None:
    await world.seed(world.place, f"{PERMANENT}/map", "a.txt", b"mijn")
    await world.seed(world.other, PERMANENT, "geheim.txt", b"GEHEIM")
    folder, theirs = world.at(world.place, PERMANENT), world.at(world.other, PERMANENT)
    (folder / "link.txt").symlink_to(theirs / "geheim.txt")
    (folder / "nergens.txt").symlink_to(folder / "niets")
    (folder / "hun").symlink_to(theirs)
    connector = await world.open(writable=True)
    for id in ("map", "link.txt", "nergens.txt", "hun", "hun/geheim.txt"):
        with pytest.raises(NotFound):
            await connector.move(world.place, f"{PERMANENT}/{id}", PERMANENT, "nieuw.txt")
    id = f"{PERMANENT}/map/a.txt"
    for name in ("map", "link.txt", "nergens.txt", "hun"):
        with pytest.raises(AlreadyExists):
            await connector.move(world.place, id, PERMANENT, name)
    for into in ("hun", "hun/dieper", "map/a.txt"):
        with pytest.raises(NotFound):
            await connector.move(world.place, id, f"{PERMANENT}/{into}", "b.txt")
    assert [e.id for e in await everything(connector, world.place)] == [id]
    assert [p.name for p in theirs.iterdir()] == ["geheim.txt"]
    assert sorted(p.name for p in folder.iterdir()) == ["hun", "link.txt", "map", "nergens.txt"]


async def test_a_race_of_movers_has_one_winner(world: SshdWorld) -> None:
    """Over two connections; nothing is lost, and nobody's document stands at two places."""
    for n in range(8):
        await world.seed(world.place, PERMANENT, f"{n}.txt", str(n).encode())
    sources = [await world.open(writable=True) for _ in range(2)]
    calls = [sources[n % 2].move(world.place, f"{PERMANENT}/{n}.txt", NESTED, "a.txt")
             for n in range(8)]  # fmt: skip
    results = await asyncio.gather(*calls, return_exceptions=True)
    (won,) = [n for n, r in enumerate(results) if not isinstance(r, AlreadyExists)]
    assert results[won].id == f"{NESTED}/a.txt"
    assert world.at(world.place, NESTED, "a.txt").read_bytes() == str(won).encode()
    left = {p.name for p in world.at(world.place, PERMANENT).iterdir()}
    assert left == {f"{n}.txt" for n in range(8) if n != won}


class Overwriting(Plain):
    """Renames as POSIX does, which the protocol does not want."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        os.replace(self.map_path(oldpath), self.map_path(newpath))


async def test_a_server_whose_rename_overwrites(tmp_path: Path) -> None:
    async with OtherServer(tmp_path, Overwriting) as server:
        world = OtherWorld(server, tmp_path)
        for name in ("a.txt", "b.txt"):
            await world.seed(world.place, PERMANENT, name, name.encode())
        connector = await world.open(writable=True)
        with pytest.raises(AlreadyExists):
            await connector.move(world.place, f"{PERMANENT}/a.txt", PERMANENT, "b.txt")
        for name in ("a.txt", "b.txt"):
            id = f"{PERMANENT}/{name}"
            assert await content(connector, world.place, id) == name.encode()
        await world.aclose()


# --- a server that lies


class Lying(Plain):
    """Says what a test wants: names, sizes, bytes. A class attribute each, set by the test."""

    names: list[bytes] = []
    endless = False
    size: int | None = 5
    data: Callable[[int], bytes] = staticmethod(lambda size: b"x" * min(size, 5))
    folder = stat.S_IFDIR | 0o755
    removed: list[bytes] = []

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        known = path.rstrip(b"/").rpartition(b"/")[2]
        if known in (b"klanten", b"300001", b"Permanent", b".", b""):
            return asyncssh.SFTPAttrs(permissions=self.folder, size=0, mtime=1, atime=1)
        return self._attributes()

    stat = lstat

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        return self._attributes()

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        for name in self.names:
            yield asyncssh.SFTPName(name, attrs=self._attributes())
        while self.endless:
            yield asyncssh.SFTPName(os.urandom(8).hex().encode(), attrs=self._attributes())

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        return object()

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        return self.data(size)

    def close(self, file_obj: object) -> None:
        pass

    def remove(self, path: bytes) -> None:
        self.removed.append(path)

    def _attributes(self) -> asyncssh.SFTPAttrs:
        mode = stat.S_IFREG | 0o644
        return asyncssh.SFTPAttrs(permissions=mode, size=self.size, mtime=1, atime=1)


@pytest.fixture
async def lying(tmp_path: Path) -> AsyncIterator[tuple[type[Lying], OtherWorld]]:
    kind = type("Liar", (Lying,), {"removed": []})
    async with (
        OtherServer(tmp_path, kind) as server,
        aclosing(OtherWorld(server, tmp_path)) as made,
    ):
        yield kind, made


async def test_names_of_a_hostile_server(lying: tuple[type[Lying], OtherWorld]) -> None:
    kind, world = lying
    kind.names = [
        b"", b".", b"..", b"../geheim.txt", b"/etc/passwd", b"a/b.txt", b"a\\b.txt", b"nul\0.txt",
        b"\xff\xff", b"l" * 2_000, b".. ", b"goed.txt", b"goed.txt", b"twee\nregels.txt",
        b".map-part-" + b"0" * 32 + b"/../../geheim.txt",
    ]  # fmt: skip
    connector = await world.open(writable=True)
    found = await everything(connector, world.place, 1)
    assert [e.name for e in found] == ["goed.txt", "twee\nregels.txt"]
    with contextlib.suppress(SourceError):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"x"))
    await asyncio.sleep(0.1)
    assert not [path for path in kind.removed if b".." in path]


async def test_a_listing_without_an_end(
    lying: tuple[type[Lying], OtherWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, world = lying
    kind.endless = True
    monkeypatch.setattr("gateway.connector.sftp.file.MOST", 5_000)
    connector = await world.open()
    with pytest.raises(TooLarge):
        await connector.list(world.place, limit=1)
    task = asyncio.ensure_future(connector.list(world.place))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    kind.endless = False
    assert await everything(connector, world.place) == []


@pytest.mark.parametrize(
    ("size", "data", "error"),
    [
        (4, b"xxx", IntegrityError), (2**63, b"", IntegrityError), (5, b"", IntegrityError),
        (5, b"x" * 6, ProtocolError), (5, b"x" * 500_000, ProtocolError),
        (None, b"x", ProtocolError),
    ],
)  # fmt: skip
async def test_other_bytes_than_were_told_of(
    lying: tuple[type[Lying], OtherWorld],
    size: int | None,
    data: bytes,
    error: type[SourceError],
) -> None:
    kind, world = lying
    given = [data]
    kind.size = size
    kind.data = staticmethod(lambda _: given.pop() if given else b"")
    connector = await world.open()
    with pytest.raises(error):
        await content(connector, world.place, f"{PERMANENT}/a.txt", length=5)


async def test_a_drop_at_a_time_is_a_document_all_the_same(
    lying: tuple[type[Lying], OtherWorld],
) -> None:
    kind, world = lying
    kind.data = staticmethod(lambda _: b"x")
    connector = await world.open()
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"xxxxx"


async def test_a_server_that_calls_nothing_a_folder(
    lying: tuple[type[Lying], OtherWorld],
) -> None:
    kind, world = lying
    kind.folder = 0
    connector = await world.open()
    for call in (connector.list(world.place), connector.read(world.place, f"{PERMANENT}/a")):
        with pytest.raises(Unavailable):
            await call


async def test_the_border_holds_without_a_border_at_the_server(
    lying: tuple[type[Lying], OtherWorld],
) -> None:
    """Everything exists at this one, under each name that it is asked for."""
    _, world = lying
    connector = await world.open()
    for id in hostile_ids(world.place, world.other, f"{PERMANENT}/a", f"{PERMANENT}/b"):
        if id.startswith(f"{PERMANENT}/") and "/" not in id.removeprefix(f"{PERMANENT}/"):
            continue  # an odd name in the klant's own folder
        with pytest.raises(NotFound):
            await connector.read(world.place, id)
