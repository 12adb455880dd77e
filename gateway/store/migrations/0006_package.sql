-- Back-office packages: their keys, answers that are given again, and where events are sent.

create table package (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    name text not null,
    created_at timestamptz not null default now(),
    primary key (firm, id),
    unique (firm, name)
);

create table api_key (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    package uuid not null,
    digest text not null unique,   -- SHA-256 of the key, which is shown once
    scopes jsonb not null,
    certificate text not null default '', -- SHA-256 (hex) of the client certificate; "": none
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    used_at timestamptz,
    primary key (firm, id),
    foreign key (firm, package) references package
);
create index api_key_package on api_key (firm, package);

-- A POST with an Idempotency-Key, and its answer once there is one.
create table idempotency (
    firm text not null,
    package uuid not null,
    key text not null,
    request text not null,         -- keyed digest of what was asked
    status integer,                -- null: under way
    answer_sealed text,
    at timestamptz not null default now(),
    primary key (firm, package, key),
    foreign key (firm, package) references package
);
create index idempotency_at on idempotency (at);

-- Where a package hears of events. cursor: number in the chain up to which they were taken over.
create table webhook (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    package uuid not null,
    url text not null,
    secret_sealed text not null,
    cursor bigint not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    primary key (firm, id),
    foreign key (firm, package) references package
);

-- An event on its way. Those of one stuk go in the order of their numbers.
create table webhook_event (
    firm text not null,
    webhook uuid not null,
    number bigint not null,        -- in the chain
    subject text not null,
    state text not null default 'waiting' check (state in ('waiting', 'sent', 'dead')),
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    trouble text not null default '',
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    primary key (firm, webhook, number),
    foreign key (firm, webhook) references webhook
);
create index webhook_event_due on webhook_event (due_at) where state = 'waiting';
create index webhook_event_order on webhook_event (firm, webhook, subject, number)
    where state = 'waiting';

-- What a mailbox took in, so that a restart takes nothing twice.
create table processed (
    firm text not null,
    mailbox text not null,
    document text not null,        -- keyed digest of its id and version in the source
    outcome text not null default '' check (outcome in ('', 'stuk', 'document', 'refused')),
    stuk uuid,
    reported_at timestamptz,       -- its return message was written
    at timestamptz not null default now(),
    primary key (firm, mailbox, document)
);

do $$
declare
    t text;
begin
    foreach t in array array['package', 'api_key', 'idempotency', 'webhook', 'webhook_event',
                             'processed']
    loop
        execute format('alter table %I enable row level security', t);
        execute format('create policy firm on %I for all to map_app'
                       ' using (firm = current_firm()) with check (firm = current_firm())', t);
    end loop;
end $$;
grant select, insert, update on package, api_key, webhook, webhook_event, processed to map_app;
grant select, insert, update, delete on idempotency to map_app;

-- Firms with events on their way that are due: all that the worker may know before it names one.
create function firms_with_events(at timestamptz) returns setof text
    language sql stable security definer set search_path = public
    begin atomic
        select distinct e.firm from webhook_event e where e.state = 'waiting' and e.due_at <= at;
    end;
-- Firms with webhooks, for taking over new events.
create function firms_with_webhooks() returns setof text
    language sql stable security definer set search_path = public
    begin atomic
        select distinct w.firm from webhook w where w.ended_at is null;
    end;
revoke all on function firms_with_events, firms_with_webhooks from public;
grant execute on function firms_with_events, firms_with_webhooks to map_app;
