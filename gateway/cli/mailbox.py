"""`gateway mailbox`: folders in which packages drop files, checked and worked on by hand."""

import asyncio
from typing import Annotated, Any

import typer

from gateway.cli.common import CONFIG, FirmName, Folder, Json, fail, of_firms, tell
from gateway.domain.firm import Firm
from gateway.domain.mailbox import PATIENCE, Mailbox, MailRule
from gateway.flows import mailbox, mailbox_lanes
from gateway.flows.mailbox import Finding, Watch
from gateway.flows.portal import Portal

mailbox_cli = typer.Typer(no_args_is_help=True, help="Folders in which packages drop files.")


@mailbox_cli.command("check")
def mailbox_check(firm: FirmName, config: Folder = CONFIG, as_json: Json = False) -> None:
    """Tell the rules of each mailbox, and whether it can be reached and written. 1: one cannot."""

    async def act(portal: Portal, of: Firm) -> list[tuple[Mailbox, Finding]]:
        return [(box, await mailbox.check(portal, of, box)) for box in of.mailboxes]

    found = of_firms(config, firm, act)[firm]
    good = all(f.ok for _, f in found)
    lines: list[str] = []
    for box, finding in found:
        said = ", ".join(f"{what.replace('_', ' ')}: {how}" for what, how in finding.said.items())
        lines.append(f"{box.id}: {box.source}/{'/'.join(filter(None, (box.place, box.folder)))}")
        lines += [f"  {said}", *(f"  {_rule(r)}" for r in box.rules)]
    told = [
        {"id": b.id, "source": b.source, "folder": b.folder, "ok": f.ok, **f.said,
         "rules": [_rule(r) for r in b.rules]}
        for b, f in found
    ]  # fmt: skip
    tell(as_json, {"ok": good, "mailboxes": told}, "\n".join(lines) or "none")
    raise typer.Exit(0 if good else 1)


def _rule(rule: MailRule) -> str:
    into = "stuk" if rule.into == "stuk" else f"{rule.into.source}/{rule.into.folder}"
    fixed = ((k, getattr(rule, k)) for k in ("soort", "jaar", "periode"))
    told = ", ".join(f"{k} {v}" for k, v in fixed if v)
    return f"{rule.match} -> {into} (klant from {rule.klant.from_}{', ' if told else ''}{told})"


@mailbox_cli.command("run")
def mailbox_run(
    firm: FirmName,
    id: Annotated[str, typer.Option("--id", help="Id of the mailbox.")],
    settled: Annotated[
        bool, typer.Option("--settled", help="Take files as they are: nobody is writing them.")
    ] = False,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """One round now. Without --settled it looks twice, and waits in between until files that
    have no partner may be taken. 1: the round could not be finished."""

    async def act(portal: Portal, of: Firm) -> tuple[mailbox.Round | None, int]:
        box = next((b for b in of.mailboxes if b.id == id), None)
        if box is None:
            fail(f"no mailbox {id!r}; there are: {', '.join(b.id for b in of.mailboxes)}")
        watch = Watch(patient=not settled)
        first: mailbox.Round | None = None
        count = 0
        if not settled:
            first, count = await mailbox_lanes.one(portal, of, box, watch)
            await asyncio.sleep(box.settle_seconds * PATIENCE)
        done, more = await mailbox_lanes.one(portal, of, box, watch)
        if done is not None and first is not None:
            again = {t.name for t in done.took}
            before = {name: why for name, why in first.missed if name not in again}
            done.missed = [*(before | dict(done.missed)).items()]
            done.took = [*first.took, *done.took]
        return done, count + more

    done, messages = of_firms(config, firm, act)[firm]
    if done is None:
        fail("a worker is at it")
    took: list[dict[str, Any]] = [
        {"file": t.name, "outcome": t.verdict.outcome, "faults": dict(t.verdict.faults),
         "stuk": str(t.verdict.stuk) if t.verdict.stuk else None}
        for t in done.took
    ]  # fmt: skip
    lines = [
        " ".join(filter(None, (t["file"], t["outcome"], t["stuk"]))) + _faults(t["faults"])
        for t in took
    ]
    lines += [f"{name} waiting: {why}" for name, why in done.missed]
    lines.append(f"{len(took)} taken, {done.waiting} waiting, {messages} return messages")
    if left_out := str(done.left_out):
        lines.append(f"left out: {left_out}")
    if done.trouble:
        lines.append(done.trouble)
    missed = [{"file": name, "why": why} for name, why in done.missed]
    told = {"ok": not done.trouble, "took": took, "waiting": done.waiting, "missed": missed,
            "messages": messages, "left_out": left_out, "trouble": done.trouble}  # fmt: skip
    tell(as_json, told, "\n".join(lines))
    raise typer.Exit(1 if done.trouble else 0)


def _faults(faults: dict[str, str]) -> str:
    return "".join(f"\n  {field}: {fault}" for field, fault in faults.items())
