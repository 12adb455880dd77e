"""The command line: `gateway <command>`. Exit codes: 0 good, 1 faults found, 2 cannot be done."""

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import typer

from gateway import __version__, app, log, settings, worker
from gateway.delivery.certificates import certificates
from gateway.demo import world
from gateway.domain import chain
from gateway.domain import proof as proofs
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.person import Role
from gateway.domain.stuk import Role as PartRole
from gateway.errors import Invalid, PortalError
from gateway.flows import auditing, intake, people, proof, stukbeheer
from gateway.flows.portal import Portal
from gateway.flows.visitor import today
from gateway.notify.mail import Mailer
from gateway.simulators.digipoort import server as digipoort
from gateway.simulators.digipoort.desk import Options
from gateway.store.migrate import migrate as migrate_database
from gateway.store.migrate import pending

T = TypeVar("T")

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
config_cli = typer.Typer(no_args_is_help=True, help="Check the configuration, and describe it.")
person_cli = typer.Typer(no_args_is_help=True, help="Accounts of a firm.")
klant_cli = typer.Typer(no_args_is_help=True, help="Klanten of a firm.")
stuk_cli = typer.Typer(no_args_is_help=True, help="Stukken that wait for a client's approval.")
mandate_cli = typer.Typer(no_args_is_help=True, help="Who may approve for which klant.")
simulate_cli = typer.Typer(no_args_is_help=True, help="Stand-ins for Digipoort and a bank.")
cli.add_typer(stuk_cli, name="stuk")
cli.add_typer(mandate_cli, name="mandate")
cli.add_typer(simulate_cli, name="simulate")
proof_cli = typer.Typer(no_args_is_help=True, help="Proofs of stukken, checked offline.")
audit_cli = typer.Typer(no_args_is_help=True, help="The chain of the audit.")
cli.add_typer(config_cli, name="config")
cli.add_typer(person_cli, name="person")
cli.add_typer(klant_cli, name="klant")
cli.add_typer(proof_cli, name="proof")
cli.add_typer(audit_cli, name="audit")

Folder = Annotated[
    Path,
    typer.Option("--config", envvar="MAP_CONFIG", help="Folder with gateway.yaml and firms/."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
FirmName = Annotated[str, typer.Option("--firm", help="Id of the firm.")]
OneFirm = Annotated[str | None, typer.Option("--firm", help="Id of the firm; else every firm.")]
Key = Annotated[str, typer.Option("--key", help="Public key known from elsewhere, base64url.")]
Keys = Annotated[
    list[str] | None, typer.Option("--key", help="Public key of before; may be repeated.")
]
Signer = Annotated[
    Path | None, typer.Option("--certificate", help="The receivers' certificates, PEM.")
]
Document = Annotated[
    Path | None, typer.Option("--document", help="A file that should be a part of the stuk.")
]
CONFIG = Path("config")
_DAY = "%Y-%m-%d"


@cli.callback()
def root() -> None:
    """MijnAccountantsPortal: the portal, its worker, and what operations needs."""


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@cli.command()
def serve(config: Folder = CONFIG) -> None:
    """Serve the portal."""
    found = _settings(config)
    _run(app.serve(found))


@cli.command("worker")
def work(config: Folder = CONFIG) -> None:
    """Send mail and clean up, until stopped."""
    found = _settings(config)
    _run(_work(found))


async def _work(found: settings.Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    mail = found.gateway.mail
    async with app.opened(found) as portal:
        mailer = Mailer(
            mail.host,
            mail.port,
            tls=mail.tls,
            username=mail.username,
            password=found.secret(mail.password) if mail.password else "",
        )
        try:
            async with app.works(found, portal) as works:
                await worker.run(portal, mailer, stop, works)
        finally:
            await mailer.aclose()


@cli.command()
def migrate(
    config: Folder = CONFIG,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only name what is missing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to the newest schema."""
    database = _settings(config).gateway.database
    dsn = database.owner_url or database.url
    names = _run(pending(dsn) if dry else migrate_database(dsn))
    _tell(as_json, {"migrations": names}, "\n".join(names) or "up to date")


@cli.command("demo")
def demonstrate(
    as_json: Json = False,
    home: Annotated[Path, typer.Option(envvar="MAP_HOME", help="Folder for all its data.")] = Path(
        ".run"
    ),
    port: Annotated[int, typer.Option(envvar="PORT", help="Port of the portal.")] = 8080,
) -> None:
    """The whole world on this machine: portal, worker, simulators, back offices, two firms."""
    log.configure(level=os.environ.get("MAP_LOG_LEVEL", "warning"))
    try:
        asyncio.run(world.run(home, port, as_json=as_json))
    except PortalError as e:
        _fail(str(e))


# --- configuration


@config_cli.command("check")
def config_check(config: Folder = CONFIG, as_json: Json = False) -> None:
    """Check every file; tell every fault. 0: good, 1: faults, 2: no configuration there."""
    if not (config / "gateway.yaml").exists():
        _fail(f"there is no {config / 'gateway.yaml'}")
    try:
        found = settings.load(config)
        faults = tuple(settings.check_secrets(found))
    except settings.SettingsError as e:
        faults = e.faults
    told = [
        {
            "file": f.file,
            "line": f.line,
            "path": f.path,
            "message": f.message,
            "nearest": f.nearest,
        }
        for f in faults
    ]
    _tell(as_json, {"ok": not faults, "faults": told}, "\n".join(map(str, faults)) or "good")
    raise typer.Exit(1 if faults else 0)


@config_cli.command("schema")
def config_schema() -> None:
    """Print the JSON Schemas of gateway.yaml and of a firm's file."""
    print(json.dumps(settings.schema(), indent=2))


# --- persons and klanten


@person_cli.command("add")
def person_add(
    firm: FirmName,
    mail: Annotated[str, typer.Option(help="E-mail address; also the username.")],
    name: Annotated[str, typer.Option()],
    mobile: Annotated[str, typer.Option(help="Mobile number for codes.")],
    klant: Annotated[list[str] | None, typer.Option(help="Number; may be repeated.")] = None,
    role: Annotated[Role, typer.Option()] = Role.CLIENT,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Add a person and mail the invitation to choose a password."""

    async def act(portal: Portal, at: Firm) -> dict[str, Any]:
        person = await people.add(
            portal, at, username=mail, name=name, mobile=mobile, role=role, klanten_of=klant or ()
        )
        return {"id": str(person.id), "username": person.username}

    _act(config, firm, act, as_json, "added; the invitation is on its way")


@person_cli.command("reset")
def person_reset(
    firm: FirmName, mail: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Mail a link to choose a new password; brings a deactivated or disabled account back."""
    _act(config, firm, lambda p, f: people.reset(p, f, mail), as_json, "the link is on its way")


@person_cli.command("disable")
def person_disable(
    firm: FirmName, mail: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Let nobody in with this account, from now on."""
    _act(config, firm, lambda p, f: people.disable(p, f, mail), as_json, "disabled")


@person_cli.command("mobile")
def person_mobile(
    firm: FirmName, mail: str, mobile: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Set another mobile number; ends the person's sessions."""
    _act(config, firm, lambda p, f: people.set_mobile(p, f, mail, mobile), as_json, "changed")


@person_cli.command("grant")
def person_grant(
    firm: FirmName, mail: str, klant: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Give a person access to a klant."""
    _act(config, firm, lambda p, f: people.grant(p, f, mail, klant), as_json, "given")


@person_cli.command("revoke")
def person_revoke(
    firm: FirmName, mail: str, klant: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Take a person's access to a klant away."""
    _act(config, firm, lambda p, f: people.revoke(p, f, mail, klant), as_json, "taken away")


@klant_cli.command("put")
def klant_put(
    firm: FirmName,
    number: str,
    name: str,
    relatiebeheerder: Annotated[str | None, typer.Option(help="Id of an employee.")] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Add a klant, or change its name or relatiebeheerder."""
    klanten = [Klant(number, name, relatiebeheerder)]
    _act(config, firm, lambda p, f: people.put_klanten(p, f, klanten), as_json, "kept")


# --- proofs and the audit


@proof_cli.command("verify")
def proof_verify(
    file: Path,
    key: Key = "",
    certificate: Signer = None,
    document: Document = None,
    as_json: Json = False,
) -> None:
    """Check a proof, without server or database. 0: good, 1: it does not verify, 2: no proof."""
    try:
        found = proof.verify(
            proofs.read(file.read_bytes()),
            key=chain.read_key(key) if key else None,
            document=_sha256(document) if document else None,
            certificates=certificates(certificate.read_text(), "certificate")
            if certificate
            else (),
        )
    except (OSError, ValueError, PortalError) as e:
        _fail(str(e))
    good = all(f.ok for f in found)
    told = [{"ok": f.ok, "what": f.what, "detail": f.detail} for f in found]
    lines = [*map(str, found), "the proof is good" if good else "THE PROOF DOES NOT VERIFY"]
    _tell(as_json, {"ok": good, "findings": told}, "\n".join(lines))
    raise typer.Exit(0 if good else 1)


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


@audit_cli.command("verify")
def audit_verify(
    firm: OneFirm = None, key: Keys = None, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Check every row of the audit against the chain and its checkpoints. 0: good, 1: faults."""
    try:
        keys = [chain.read_key(k) for k in key or ()]
    except ValueError as e:
        _fail(f"--key: {e}")

    async def one(portal: Portal, at: Firm) -> auditing.Report:
        return await auditing.verify(
            portal, at, keys, lambda n: print(f"{at.id}: {n} links", file=sys.stderr)
        )

    reports = _of_firms(config, firm, one)
    good = not any(r.findings for r in reports.values())
    told = {
        id: {
            "links": r.links,
            "checkpoints": r.checkpoints,
            "covered": r.covered,
            "more": r.more,
            "findings": [
                {"kind": f.kind, "link": f.number, "row": f.audit, "text": f.text}
                for f in r.findings
            ],
        }
        for id, r in reports.items()
    }
    _tell(as_json, {"ok": good, "firms": told}, "\n".join(_audit_lines(reports)))
    raise typer.Exit(0 if good else 1)


def _audit_lines(reports: Mapping[str, auditing.Report]) -> Iterator[str]:
    for id, r in reports.items():
        yield from (f"{id}: {f}" for f in r.findings)
        if r.more:
            yield f"{id}: and {r.more} more"
        state = "FAULTS" if r.findings else "good"
        yield f"{id}: {state}; {r.links} links, covered by checkpoints up to {r.covered}"


@audit_cli.command("checkpoint")
def audit_checkpoint(firm: OneFirm = None, config: Folder = CONFIG, as_json: Json = False) -> None:
    """Sign the head of the chain now, and print it with the public key to keep elsewhere."""

    async def one(portal: Portal, at: Firm) -> tuple[chain.Checkpoint | None, str]:
        key = chain.key_text(auditing.public_key(portal))
        return await auditing.checkpoint(portal, at), key

    made = _of_firms(config, firm, one)
    told = {
        id: None if c is None else {"number": c.number, "hash": c.hash, "at": c.at, "key": key}
        for id, (c, key) in made.items()
    }
    lines = [
        f"{id}: nothing has happened yet" if c is None
        else f"{id}: {c.number} {c.hash} {c.at} key {key}"
        for id, (c, key) in made.items()
    ]  # fmt: skip
    _tell(as_json, {"ok": True, "firms": told}, "\n".join(lines))


# --- how a command runs


@klant_cli.command("identify")
def klant_identify(
    number: Annotated[str, typer.Argument(help="The klant's number.")],
    type: Annotated[str, typer.Option(help="BTW, Fi (RSIN or BSN) or kvk.")],
    value: Annotated[str, typer.Option(help="The number at the receiver.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """The number by which a receiver knows a klant; only its keyed digest is kept."""

    async def act(portal: Portal, of: Firm) -> None:
        await stukbeheer.identify(portal, of, number, type, value)

    _act(config, firm, act, as_json, "kept")


@mandate_cli.command("add")
def mandate_add(
    username: Annotated[str, typer.Argument(help="The person's e-mail address.")],
    klant: Annotated[str, typer.Argument(help="The klant's number.")],
    firm: FirmName,
    soort: Annotated[str, typer.Option(help="Kind of stuk; * for every kind.")] = "*",
    since: Annotated[datetime | None, typer.Option(help="First day.", formats=[_DAY])] = None,
    until: Annotated[datetime | None, typer.Option(help="Last day.", formats=[_DAY])] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Let a person approve for a klant."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        first = since.date() if since else today()
        last = until.date() if until else None
        id = await stukbeheer.give_mandate(portal, of, username, klant, soort, first, last)
        return {"mandate": str(id)}

    _act(config, firm, act, as_json, "given")


@mandate_cli.command("end")
def mandate_end(
    username: Annotated[str, typer.Argument(help="The person's e-mail address.")],
    klant: Annotated[str, typer.Argument(help="The klant's number.")],
    firm: FirmName,
    soort: Annotated[str, typer.Option(help="Kind of stuk, as it was given.")] = "*",
    last: Annotated[datetime | None, typer.Option(help="Last day.", formats=[_DAY])] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """End it; what was approved and not yet sent is not sent any more."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        day = last.date() if last else today() - timedelta(days=1)
        count = await stukbeheer.end_mandate(portal, of, username, klant, soort, day)
        return {"ended": count}

    _act(config, firm, act, as_json, "ended")


@stuk_cli.command("put-up")
def stuk_put_up(
    klant: Annotated[str, typer.Argument(help="The klant's number.")],
    soort: Annotated[str, typer.Argument(help="Kind of stuk, as in the firm's file.")],
    part: Annotated[
        list[str],
        typer.Option(help="ROLE:SOURCE:ID; role is akkoorddocument, instance or bijlage."),
    ],
    jaar: Annotated[int, typer.Option(help="The year that it is about.")],
    periode: Annotated[str, typer.Option(help='As a person says it: "3e kwartaal 2026".')],
    firm: FirmName,
    deadline: Annotated[datetime | None, typer.Option(formats=[_DAY])] = None,
    opmerking: Annotated[str, typer.Option(help="What the client should know.")] = "",
    relatiebeheerder: Annotated[str | None, typer.Option(help="Id of an employee.")] = None,
    replaces: Annotated[
        str | None, typer.Option(help="Id of the stuk it takes the place of.")
    ] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Put up a stuk; exit code 1 tells every fault."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        wish = intake.Wish(
            klant, soort, jaar, periode, [_part(p) for p in part], "beheer",
            deadline.date() if deadline else None, opmerking, relatiebeheerder, None,
            UUID(replaces) if replaces else None,
        )  # fmt: skip
        return {"stuk": str(await intake.put_up(portal, of, wish))}

    _act(config, firm, act, as_json, "put up")


def _part(text: str) -> intake.PartWish:
    """ROLE:SOURCE:ID. Raises Invalid."""
    role, _, rest = text.partition(":")
    source, _, id = rest.partition(":")
    if role not in {r.value for r in PartRole} or not id:
        raise Invalid({"part": f"{text!r} is not ROLE:SOURCE:ID"})
    return intake.PartWish(PartRole(role), source, id)


@stuk_cli.command("withdraw")
def stuk_withdraw(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the stuk.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Take a stuk back, as long as nothing was sent."""

    async def act(portal: Portal, of: Firm) -> None:
        await stukbeheer.withdraw(portal, of, UUID(stuk), "beheer", reason)

    _act(config, firm, act, as_json, "withdrawn")


@stuk_cli.command("remind")
def stuk_remind(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Send the notice again."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        return {"people": await stukbeheer.remind(portal, of, UUID(stuk), "beheer")}

    _act(config, firm, act, as_json, "sent")


@stuk_cli.command("paper")
def stuk_paper(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    username: Annotated[str, typer.Argument(help="Who gave consent on paper.")],
    reason: Annotated[str, typer.Option(help="Where the paper is, and why; kept.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Record a consent that was given on paper."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        state = await stukbeheer.paper(portal, of, UUID(stuk), username, "beheer", reason)
        return {"state": state}

    _act(config, firm, act, as_json, "recorded")


@stuk_cli.command("report")
def stuk_report(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    firm: FirmName,
    done: Annotated[bool, typer.Option("--done/--failed", help="How it ended.")] = True,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Tell how the fiscal package ended a stuk of the backoffice route."""

    async def act(portal: Portal, of: Firm) -> None:
        await stukbeheer.report(portal, of, UUID(stuk), done, "beheer")

    _act(config, firm, act, as_json, "reported")


@stuk_cli.command("decide")
def stuk_decide(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    reason: Annotated[str, typer.Option(help="How it is known; kept with the stuk.")],
    firm: FirmName,
    kenmerk: Annotated[
        str | None, typer.Option(help="It arrived, with this kenmerk; without: send it again.")
    ] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Decide about a delivery of which nobody knows whether it arrived."""

    async def act(portal: Portal, of: Firm) -> None:
        await stukbeheer.decide(portal, of, UUID(stuk), "beheer", reason, kenmerk=kenmerk)

    _act(config, firm, act, as_json, "decided")


def _simulate(
    kind: str, folder: Path, port: int, control: int, clients: list[str], receivers: list[str],
    speed: float, as_json: bool,
) -> None:  # fmt: skip
    known = dict(c.split("=", 1) for c in clients if "=" in c) or {"kantoor": "12345678"}

    def ready(url: str, control_url: str) -> None:
        told = {"url": url, "control": control_url, "pki": str(folder / "pki")}
        _tell(as_json, told, f"{kind}: {url}\nbookings and scenarios: {control_url}\n"
              f"certificates: {folder / 'pki'}")  # fmt: skip
        sys.stdout.flush()

    options = Options(speed=speed, receivers=tuple(receivers))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            digipoort.run(
                folder, kind=kind, clients=known, options=options, port=port,
                control_port=control, ready=ready,
            )
        )  # fmt: skip


_Where = Annotated[Path, typer.Option("--folder", help="For its ledger and certificates.")]
_Port = Annotated[int, typer.Option(help="Of the services; 0: any.")]
_Control = Annotated[int, typer.Option(help="Of the page with bookings and scenarios; 0: any.")]
_Clients = Annotated[
    list[str], typer.Option("--client", help="NAME=KVK: a client certificate to make.")
]
_Speed = Annotated[float, typer.Option(help="How many times faster than real.")]


@simulate_cli.command("digipoort")
def simulate_digipoort(
    folder: _Where,
    port: _Port = 0,
    control_port: _Control = 0,
    client: _Clients = [],  # noqa: B006
    speed: _Speed = 1.0,
    as_json: Json = False,
) -> None:
    """A Digipoort that takes in and forgets the content, over mutual TLS with a CA of its own."""
    _simulate("digipoort", folder, port, control_port, client, [], speed, as_json)


@simulate_cli.command("bank")
def simulate_bank(
    folder: _Where,
    receiver: Annotated[list[str], typer.Option(help="Numbers of banks that it takes for.")],
    port: _Port = 0,
    control_port: _Control = 0,
    client: _Clients = [],  # noqa: B006
    speed: _Speed = 1.0,
    as_json: Json = False,
) -> None:
    """The banks' side (BIV), which speaks the same protocol."""
    _simulate("bank", folder, port, control_port, client, receiver, speed, as_json)


def _settings(folder: Path) -> settings.Settings:
    try:
        found = settings.load(folder)
    except settings.SettingsError as e:
        _fail(str(e))
    log.configure(level=found.gateway.log_level)
    return found


def _act(
    folder: Path,
    firm_id: str,
    act: Callable[[Portal, Firm], Awaitable[dict[str, Any] | None]],
    as_json: bool,
    done: str,
) -> None:
    found = _settings(folder)
    log.configure(level="error")
    firm = found.firms.get(firm_id)
    if firm is None:
        _fail(f"no firm {firm_id!r}; there are: {', '.join(found.firms)}")

    async def go() -> dict[str, Any]:
        async with app.opened(found) as portal:
            return await act(portal, firm) or {}

    _tell(as_json, {"ok": True, **_run(go())}, done)


def _of_firms(
    folder: Path, wanted: str | None, act: Callable[[Portal, Firm], Awaitable[T]]
) -> dict[str, T]:
    """What `act` gives for one firm, or for each."""
    found = _settings(folder)
    log.configure(level="error")
    if wanted is not None and wanted not in found.firms:
        _fail(f"no firm {wanted!r}; there are: {', '.join(found.firms)}")
    firms = [f for f in found.firms.values() if wanted in (None, f.id)]

    async def go() -> dict[str, T]:
        async with app.opened(found) as portal:
            return {f.id: await act(portal, f) for f in firms}

    return _run(go())


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except Invalid as e:
        _fail("\n".join(f"{field}: {fault}" for field, fault in e.faults.items()), code=1)
    except PortalError as e:
        _fail(str(e))


def _tell(as_json: bool, told: dict[str, Any], text: str) -> None:
    print(json.dumps(told, ensure_ascii=False) if as_json else text)


def _fail(text: str, code: int = 2) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(code)


def main() -> None:
    """The entry point named in setup.cfg."""
    with contextlib.suppress(BrokenPipeError):
        cli()
