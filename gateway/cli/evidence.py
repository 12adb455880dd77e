"""`gateway proof` and `audit`: what happened, checked."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import CONFIG, Folder, Json, OneFirm, fail, of_firms, tell
from gateway.delivery.certificates import certificates
from gateway.domain import chain
from gateway.domain.firm import Firm
from gateway.domain.proof import seal
from gateway.errors import PortalError
from gateway.flows import auditing
from gateway.flows.portal import Portal
from gateway.flows.proof import checking

proof_cli = typer.Typer(no_args_is_help=True, help="Proofs of stukken, checked offline.")
audit_cli = typer.Typer(no_args_is_help=True, help="The chain of the audit.")

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
        found = checking.verify(
            seal.read(file.read_bytes()),
            key=chain.read_key(key) if key else None,
            document=_sha256(document) if document else None,
            certificates=certificates(certificate.read_text(), "certificate")
            if certificate
            else (),
        )
    except (OSError, ValueError, PortalError) as e:
        fail(str(e))
    good = all(f.ok for f in found)
    told = [{"ok": f.ok, "what": f.what, "detail": f.detail} for f in found]
    lines = [*map(str, found), "the proof is good" if good else "THE PROOF DOES NOT VERIFY"]
    tell(as_json, {"ok": good, "findings": told}, "\n".join(lines))
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
        fail(f"--key: {e}")

    async def one(portal: Portal, at: Firm) -> auditing.Report:
        return await auditing.verify(
            portal, at, keys, lambda n: print(f"{at.id}: {n} links", file=sys.stderr)
        )

    reports = of_firms(config, firm, one)
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
    tell(as_json, {"ok": good, "firms": told}, "\n".join(_audit_lines(reports)))
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

    made = of_firms(config, firm, one)
    told = {
        id: None if c is None else {"number": c.number, "hash": c.hash, "at": c.at, "key": key}
        for id, (c, key) in made.items()
    }
    lines = [
        f"{id}: nothing has happened yet" if c is None
        else f"{id}: {c.number} {c.hash} {c.at} key {key}"
        for id, (c, key) in made.items()
    ]  # fmt: skip
    tell(as_json, {"ok": True, "firms": told}, "\n".join(lines))
