"""Every statement of the store is one that PostgreSQL takes for this schema, as this role."""

import contextlib
import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args, get_origin
from uuid import UUID

import asyncpg
import pytest

from gateway import store
from gateway.domain import chain, delivery, sbr, soort, stuk
from gateway.domain.accordering import Rule
from gateway.domain.klant import Klant
from gateway.domain.package import Scope
from gateway.domain.person import Role, State
from gateway.domain.session import Stage
from gateway.domain.throttle import ACCOUNT, Limit
from gateway.store import audit, deliveries, sessions, stukken, webhooks
from gateway.store.database import Connection, Database

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = UUID(int=0)
_STUK = stukken.Stuk(
    NOBODY, "1", "K", "ob", soort.Route.PORTAL, stuk.State.TO_APPROVE, 2026, "Q3", None, None,
    None, "m", "c", Rule(), None, None, None, None, "test", NOW, NOW,
)  # fmt: skip
_DELIVERY = deliveries.Delivery(
    NOBODY, NOBODY, "sbr", "digipoort", "", "", "", "k", "m", delivery.State.QUEUED, None, 0, NOW,
    "", "", None, None, NOW, None, None, None,
)  # fmt: skip
VALUES: dict[Any, Any] = {
    float: 1.0, timedelta: timedelta(1), date: NOW.date(), Rule: Rule(), stukken.Stuk: _STUK,
    stukken.PartRow: stukken.PartRow(1, stuk.Role.INSTANCE, "s", "", "", "", 1, "h"),
    stuk.State: stuk.State.APPROVED, deliveries.Delivery: _DELIVERY,
    delivery.State: delivery.State.ATTEMPT, delivery.Outcome: delivery.Outcome.DECIDED,
    sbr.Statusmelding: sbr.Statusmelding("k", "100", NOW, ""),
    Scope: Scope.STATUS,
    chain.Checkpoint: chain.Checkpoint("een", 1, "h", NOW.isoformat(), "k", "s"),
    str: "x", int: 1, bool: True, datetime: NOW, UUID: NOBODY, Role: Role.CLIENT,
    State: State.ACTIVE, Limit: ACCOUNT, Klant: Klant("1", "K"),
    sessions.New: sessions.New("d", NOBODY, Stage.HALF, None, None, "", "", NOW, NOW),
    audit.Event: audit.Event("f", "e", None, None, "", "", "{}"),
    webhooks.Claimed: webhooks.Claimed(NOBODY, 1, 1, NOW, "u", "s", None),
}  # fmt: skip


class Recorder:
    """Prepares what it is given, with as many arguments, and finds nothing."""

    def __init__(self, real: Connection) -> None:
        self.real = real
        self.count = 0

    async def _prepare(self, sql: str, *args: object) -> None:
        statement = await self.real.prepare(sql)
        assert len(statement.get_parameters()) == len(args), sql
        self.count += 1

    execute = fetchrow = fetchval = _prepare

    async def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        for row in rows:
            await self._prepare(sql, *row)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def fetch(self, sql: str, *args: object) -> list[object]:
        await self._prepare(sql, *args)
        return []


def _functions() -> Iterator[Callable[..., Awaitable[object]]]:
    """Every function of the store that works on a connection."""
    for found in pkgutil.iter_modules(store.__path__, "gateway.store."):
        module = importlib.import_module(found.name)
        for _, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            first = next(iter(inspect.signature(function).parameters), "")
            if function.__module__ == module.__name__ and first == "c":
                yield function


def _value(hint: Any) -> Any:
    """A value of this type."""
    if hint in VALUES:
        return VALUES[hint]
    args = [a for a in get_args(hint) if a is not type(None)]
    if get_origin(hint) is frozenset:
        return frozenset({_value(args[0])})
    if get_origin(hint) is tuple:
        return tuple(map(_value, args))
    if getattr(get_origin(hint), "__name__", "") in ("Sequence", "Iterable"):
        return [_value(args[0])]
    if getattr(get_origin(hint), "__name__", "") == "Mapping":
        return {}
    return _value(args[0])


@pytest.mark.parametrize(
    "function", [pytest.param(f, id=f"{f.__module__[14:]}.{f.__name__}") for f in _functions()]
)
async def test_every_statement_can_be_prepared(function, dsn):
    parameters = inspect.signature(function).parameters
    arguments = {name: _value(p.annotation) for name, p in parameters.items() if name != "c"}
    db = await Database.connect(dsn)
    async with db.tenant("een") as c:
        recorder = Recorder(c)
        try:
            await function(recorder, **arguments)
        except TypeError:  # it wants a row where the recorder has none
            assert recorder.count
    await db.close()
    assert recorder.count


async def test_a_statement_that_is_none_is_found(dsn):
    async def broken(c: Any) -> None:
        await c.execute("update person set nothing = $1", 1)

    db = await Database.connect(dsn)
    with pytest.raises(asyncpg.UndefinedColumnError):
        async with db.tenant("een") as c:
            await broken(Recorder(c))
    await db.close()
