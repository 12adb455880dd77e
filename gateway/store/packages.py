"""Packages of a firm, their keys, and answers that are given again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain.package import Scope
from gateway.store.database import Connection


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its package. name: the package's. certificate: see 0006_package.sql."""

    id: UUID
    package: UUID
    name: str
    scopes: frozenset[Scope]
    certificate: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


_KEY = (
    "select k.id, k.package, p.name, k.scopes, k.certificate, k.created_at, k.expires_at,"
    " k.used_at from api_key k join package p on p.firm = k.firm and p.id = k.package"
)


def _key(row: object) -> Key:
    fields = dict(row)  # type: ignore[call-overload]
    return Key(**{**fields, "scopes": frozenset(map(Scope, json.loads(fields["scopes"])))})


async def put(c: Connection, firm: str, name: str) -> UUID:
    """The package of that name; added when it is new."""
    id: UUID = await c.fetchval(
        "insert into package (firm, name) values ($1, $2)"
        " on conflict (firm, name) do update set name = excluded.name returning id",
        firm,
        name,
    )
    return id


async def add_key(
    c: Connection,
    firm: str,
    package: UUID,
    digest: str,
    scopes: Sequence[Scope],
    expires_at: datetime | None,
    certificate: str = "",
) -> UUID:
    """One more key of a package."""
    id: UUID = await c.fetchval(
        "insert into api_key (firm, package, digest, scopes, expires_at, certificate)"
        " values ($1, $2, $3, $4::jsonb, $5, $6) returning id",
        firm,
        package,
        digest,
        json.dumps(sorted(scopes)),
        expires_at,
        certificate,
    )
    return id


async def keys(c: Connection) -> list[Key]:
    """Every key of the firm, newest first."""
    return [_key(r) for r in await c.fetch(_KEY + " order by p.name, k.created_at desc")]


async def key(c: Connection, digest: str) -> Key | None:
    """The key with this digest, unless it has expired."""
    row = await c.fetchrow(
        _KEY + " where k.digest = $1 and (k.expires_at is null"
        " or k.expires_at > clock_timestamp())",
        digest,
    )
    return _key(row) if row else None


async def used(c: Connection, id: UUID) -> None:
    """It was used now; told once a minute."""
    await c.execute(
        "update api_key set used_at = clock_timestamp() where id = $1 and"
        " (used_at is null or used_at < clock_timestamp() - interval '1 minute')",
        id,
    )


async def end_keys(c: Connection, package: UUID, at: datetime, *, but: UUID | None = None) -> int:
    """Let a package's keys end then, unless they end sooner; how many do. but: keeps on."""
    rows = await c.fetch(
        "update api_key set expires_at = $2 where package = $1 and id is distinct from $3"
        " and (expires_at is null or expires_at > $2) returning id",
        package,
        at,
        but,
    )
    return len(rows)


async def end_key(c: Connection, id: UUID) -> bool:
    """End a key at once; False when there is none."""
    found = await c.fetchval(
        "update api_key set expires_at = clock_timestamp() where id = $1 returning true", id
    )
    return bool(found)


# --- Idempotency-Key


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked with a key before. status: None while it is under way."""

    request: str
    status: int | None
    answer_sealed: str | None


async def begin(
    c: Connection, firm: str, package: UUID, key: str, request: str, stale: datetime
) -> Answer | None:
    """Take the key for this request; None when it was free, else what it was used for. One that
    nobody worked on since `stale` was left by a process that died, and is taken over: then with
    status 0."""
    over = await c.fetchval(
        "insert into idempotency as i (firm, package, key, request) values ($1, $2, $3, $4)"
        " on conflict (firm, package, key) do update set at = now()"
        " where i.status is null and i.at < $5 and i.request = excluded.request"
        " returning xmax::text <> '0'",
        firm,
        package,
        key,
        request,
        stale,
    )
    if over is not None:
        return Answer(request, 0, None) if over else None
    row = await c.fetchrow(
        "select request, status, answer_sealed from idempotency where package = $1 and key = $2",
        package,
        key,
    )
    return Answer(*row) if row else None


async def answered(
    c: Connection, package: UUID, key: str, status: int, answer_sealed: str
) -> None:
    """Keep the answer."""
    await c.execute(
        "update idempotency set status = $3, answer_sealed = $4 where package = $1 and key = $2",
        package,
        key,
        status,
        answer_sealed,
    )


async def beat(c: Connection, package: UUID, key: str) -> None:
    """It is still being worked on."""
    await c.execute(
        "update idempotency set at = now() where package = $1 and key = $2 and status is null",
        package,
        key,
    )


async def free(c: Connection, package: UUID, key: str) -> None:
    """Nothing came of it: the key may be used again."""
    await c.execute(
        "delete from idempotency where package = $1 and key = $2 and status is null", package, key
    )
