"""What has served its purpose goes; what has not stays."""

import asyncpg

from gateway.store import housekeeping
from gateway.store.database import Database

_FILL = """
insert into person (firm, id, username, name) values ('een', '{person}', 'a@x.example', 'A');
insert into session (firm, digest, person, stage, idle_until, ends_at) values
    ('een', 'good', '{person}', 'full', now() + interval '1 h', now() + interval '1 h'),
    ('een', 'idle', '{person}', 'full', now() - interval '1 s', now() + interval '1 h'),
    ('een', 'over', '{person}', 'full', now() + interval '1 h', now() - interval '1 s');
insert into code (firm, person, session, purpose, digest, expires_at) values
    ('een', '{person}', 'good', 'signing_in', 'new', now()),
    ('een', '{person}', 'good', 'signing_in', 'old', now() - interval '2 days');
insert into link (firm, digest, person, purpose, expires_at) values
    ('een', 'new', '{person}', 'password', now() - interval '1 day'),
    ('een', 'old', '{person}', 'password', now() - interval '8 days');
insert into outbox (firm, event, recipient_sealed, payload_sealed, state, created_at) values
    ('een', 'waits', '', '', 'waiting', now() - interval '99 days'),
    ('een', 'new', '', '', 'sent', now()),
    ('een', 'old', '', '', 'failed', now() - interval '91 days');
insert into throttle (key, until) values
    ('new', now() + interval '1 min'), ('old', now() - interval '1 min');
insert into package (firm, id, name) values ('een', '{person}', 'P');
insert into idempotency (firm, package, key, request, at) values
    ('een', '{person}', 'new', '', now()), ('een', '{person}', 'old', '', now() - interval '25 h');
insert into webhook (firm, id, package, url, secret_sealed, cursor)
    values ('een', '{person}', '{person}', '', '', 0);
insert into webhook_event (firm, webhook, number, subject, state, ended_at, created_at) values
    ('een', '{person}', 1, '', 'waiting', null, now() - interval '99 days'),
    ('een', '{person}', 2, '', 'sent', now() - interval '29 days', now()),
    ('een', '{person}', 3, '', 'sent', now() - interval '31 days', now()),
    ('een', '{person}', 4, '', 'dead', now() - interval '89 days', now()),
    ('een', '{person}', 5, '', 'dead', now() - interval '91 days', now());
insert into audit (firm, at, event) values ('een', now() - interval '9 years', 'kept');
"""


async def test_what_goes_and_what_stays(dsn):
    owner = await asyncpg.connect(dsn)
    await owner.execute(_FILL.format(person="00000000-0000-0000-0000-000000000001"))
    db = await Database.connect(dsn)
    async with db.connection() as c:
        assert await housekeeping.forget(c) == 9
        assert await housekeeping.forget(c) == 0
    for column, table, stays in (
        ("digest", "session", {"good"}),
        ("digest", "code", {"new"}),
        ("digest", "link", {"new"}),
        ("event", "outbox", {"waits", "new"}),
        ("key", "throttle", {"new"}),
        ("key", "idempotency", {"new"}),
        ("number", "webhook_event", {1, 2, 4}),
        ("event", "audit", {"kept"}),
    ):
        rows = await owner.fetch(f"select {column} from {table}")
        assert {r[0] for r in rows} == stays, table
    await db.close()
    await owner.close()
