"""Puts the invented people into the database and the invented documents into the back offices."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiobotocore.session import get_session

from gateway.demo import data
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.package import Scope
from gateway.domain.person import Role
from gateway.domain.stuk import Role as PartRole
from gateway.flows import intake, packages, stukbeheer
from gateway.flows.portal import Portal
from gateway.flows.visitor import today
from gateway.store import klanten, persons


async def people(portal: Portal) -> None:
    """Klanten and accounts; those that are there already stay as they are."""
    for firm in portal.firms.values():
        async with portal.db.tenant(firm.id) as c:
            await klanten.put(c, firm.id, data.KLANTEN.get(firm.id, ()))
    for account in data.ACCOUNTS:
        if account.firm in portal.firms:
            await _account(portal, portal.firms[account.firm], account)


async def _account(portal: Portal, firm: Firm, account: data.Account) -> None:
    hashed = await portal.passwords.hash(account.password)
    async with portal.db.tenant(firm.id) as c:
        person = await persons.add(c, firm.id, account.email, account.name, account.role)
        if person is None:
            return
        sealed = portal.keys.seal("mobile", account.mobile)
        await persons.set_mobile(
            c, person.id, sealed, portal.keys.digest("mobile", account.mobile)
        )
        await persons.set_password(c, person.id, hashed)
        for number in account.klanten:
            await klanten.grant(c, firm.id, person.id, number)


async def package(portal: Portal, file: Path) -> dict[str, str]:
    """A package of the first firm and its key, which is kept in a file for the next start."""
    firm, name = portal.firms["lindehof"], "Demopakket"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(await packages.make(portal, firm, name, tuple(Scope)))
    return {"firm": firm.id, "name": name, "key": file.read_text()}


async def stukken(portal: Portal, share: Path) -> None:
    """Numbers and mandates, and what is put up for approval; once."""
    firm = portal.firms["lindehof"]
    for klant, type, number in data.IDENTITIES:
        await stukbeheer.identify(portal, firm, klant, type, number)
    known = {k.number: k for k in data.KLANTEN[firm.id]}
    marker = share / ".stukken"
    if marker.exists():
        return
    for account in data.ACCOUNTS:
        if account.firm == firm.id and account.role is Role.CLIENT:
            for klant in account.klanten:
                await stukbeheer.give_mandate(portal, firm, account.email, klant, "*", today())
    for one in data.STUKKEN:
        parts = await asyncio.to_thread(_written, share / firm.id, known[one.klant], one)
        deadline = today() + timedelta(days=one.days)
        wish = intake.Wish(
            one.klant, one.soort, one.jaar, one.periode, parts, "demo", deadline, one.opmerking
        )
        await intake.put_up(portal, firm, wish)
    marker.touch()


def _written(base: Path, klant: Klant, one: data.PutUp) -> list[intake.PartWish]:
    """Its files in the back office, and where they are."""
    folder = base / klant.number / "Klaargezet"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{one.soort}-{one.periode.replace(' ', '-')}"
    title = f"{one.soort} {one.periode}"
    written = [(PartRole.AKKOORD, f"{name}.pdf", data.pdf(title, klant, datetime.now(UTC)))]
    if one.instance is not None:
        written.append((PartRole.INSTANCE, f"{name}.xbrl", one.instance))
    for _, file, body in written:
        (folder / file).write_bytes(body)
    return [intake.PartWish(role, "klaargezet", f"Klaargezet/{file}") for role, file, _ in written]


def files(share: Path, package: Path) -> None:
    """Documents of the file shares and of the package behind SOAP, once."""
    for document in data.documents():
        if document.where == "s3":
            continue
        place = document.klant.number
        if document.firm == "zeewind":
            place = f"{document.klant.number} {document.klant.name}"
        base = share / document.firm if document.where == "share" else package / document.firm
        path = base / place / document.folder / document.name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(document.body)
            os.utime(path, (document.modified.timestamp(),) * 2)


async def objects(endpoint: str, access_key: str, secret_key: str) -> None:
    """Documents of the S3 buckets, once."""
    async with get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    ) as client:
        there = {b["Name"] for b in (await client.list_buckets())["Buckets"]}
        for bucket in {d.firm for d in data.documents()} - there:
            await client.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
            )
        for document in data.documents():
            if document.where == "s3" and document.firm not in there:
                root = "klanten/" if document.firm == "lindehof" else ""
                parts = [root + document.klant.number, document.folder, document.name]
                await client.put_object(
                    Bucket=document.firm,
                    Key="/".join(p for p in parts if p),
                    Body=document.body,
                )
