-- The house: who may sign in, for which klanten, and what happened.
--
-- Every table carries the firm, and row-level security shows the application role only the
-- rows of the firm that its transaction named in app.firm. The role map_app owns nothing and
-- cannot bypass that; the owner of the schema runs migrations and nothing else.
-- Digests and sealed values are text (base64url): no table has a column that could hold a
-- document.

do $$
begin
    if not exists (select from pg_roles where rolname = 'map_app') then
        create role map_app nologin nosuperuser nobypassrls nocreatedb nocreaterole;
    end if;
exception
    when duplicate_object or unique_violation then null; -- another database's migration won
end $$;
grant map_app to current_user;
grant usage on schema public to map_app;

create function current_firm() returns text
    language sql stable
    return nullif(current_setting('app.firm', true), '');

create table klant (
    firm text not null,
    number text not null,
    name text not null,
    relatiebeheerder text, -- id of an employee in the firm's file
    created_at timestamptz not null default now(),
    primary key (firm, number)
);

create table person (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    username text not null check (username = lower(username)), -- the e-mail address
    name text not null,
    role text not null default 'client' check (role in ('client', 'staff', 'admin')),
    state text not null default 'invited'
        check (state in ('invited', 'active', 'deactivated', 'disabled')),
    mobile_sealed text,            -- sealed with a key that is not in the database
    mobile_digest text,            -- keyed digest of the number, to find it again
    password text,                 -- Argon2id over a keyed hash; null until first chosen
    password_at timestamptz,
    preferred_klant text,
    language text not null default 'nl' check (language in ('nl', 'en')),
    last_login_at timestamptz,
    previous_login_at timestamptz,
    created_at timestamptz not null default now(),
    primary key (firm, id),
    unique (firm, username)
);
create index person_username on person (username);
create index person_mobile on person (mobile_digest);

create table access (
    firm text not null,
    person uuid not null,
    klant text not null,
    created_at timestamptz not null default now(),
    primary key (firm, person, klant),
    foreign key (firm, person) references person on delete cascade,
    foreign key (firm, klant) references klant on delete cascade
);

create table session (
    firm text not null,
    digest text not null,          -- SHA-256 of the token; the token is only in the cookie
    person uuid not null,
    stage text not null check (stage in ('half', 'full')), -- half: the code is still to come
    klant text,                    -- the organisation being looked at
    next text,                     -- where to go after signing in; a local path
    address text not null default '',
    agent text not null default '',
    created_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    idle_until timestamptz not null,
    ends_at timestamptz not null,
    primary key (firm, digest),
    foreign key (firm, person) references person on delete cascade
);
create index session_person on session (firm, person);
create index session_ends on session (ends_at);

create table code (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    person uuid not null,
    session text not null,         -- digest of the session it was asked in
    purpose text not null,         -- signing_in, ...
    subject text not null default '', -- digest of what it consents to
    digest text not null,          -- HMAC of the code
    tries integer not null default 0,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    void_at timestamptz,           -- a newer code took its place
    primary key (firm, id),
    foreign key (firm, person) references person on delete cascade
);
create index code_session on code (firm, session, purpose, created_at desc);

create table link (
    firm text not null,
    digest text not null,          -- SHA-256 of the token; the token is only in the mail
    person uuid not null,
    purpose text not null check (purpose in ('password', 'invitation')),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (firm, digest),
    foreign key (firm, person) references person on delete cascade
);

create table preference (
    firm text not null,
    person uuid not null,
    name text not null,
    value text not null,
    primary key (firm, person, name),
    foreign key (firm, person) references person on delete cascade
);

create table audit (
    firm text not null,
    id bigint generated always as identity,
    at timestamptz not null default clock_timestamp(),
    event text not null,
    person uuid,
    klant text,
    subject text not null default '',
    request text not null default '', -- request id, to find the log lines
    data jsonb not null default '{}',
    primary key (firm, id)
);
create index audit_person on audit (firm, person, id desc);

create table outbox (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    event text not null,           -- folder of the template
    recipient_sealed text not null,
    payload_sealed text not null,  -- what the template needs; may hold a link's token
    state text not null default 'waiting' check (state in ('waiting', 'sent', 'failed')),
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    error text not null default '',
    primary key (firm, id)
);
create index outbox_due on outbox (due_at) where state = 'waiting';

-- Throttles are kept across firms (an address knows no firm); only the function touches them.
create table throttle (
    key text primary key,          -- keyed digest of kind and subject
    until timestamptz not null     -- theoretical arrival time, as in GCRA
);

do $$
declare
    t text;
begin
    foreach t in array array['klant', 'person', 'access', 'session', 'code', 'link',
                             'preference', 'audit', 'outbox']
    loop
        execute format('alter table %I enable row level security', t);
        execute format('create policy firm on %I for all to map_app'
                       ' using (firm = current_firm()) with check (firm = current_firm())', t);
    end loop;
end $$;
alter table throttle enable row level security;

grant select, insert, update, delete
    on klant, person, access, session, code, link, preference to map_app;
grant select, insert, update on outbox to map_app;
grant select, insert on audit to map_app; -- a row of the audit is never changed
grant select on migration to map_app;

-- The firms where a username exists: all that the shared sign-in page may know.
create function firms_of(wanted text) returns setof text
    language sql stable security definer set search_path = public
    begin atomic
        select p.firm from person p where p.username = lower(wanted) and p.state <> 'disabled';
    end;

-- Firms that have mail waiting: all that the worker may know before it names a firm.
create function firms_with_mail(at timestamptz) returns setof text
    language sql stable security definer set search_path = public
    begin atomic
        select distinct o.firm from outbox o where o.state = 'waiting' and o.due_at <= at;
    end;

-- One attempt against a limit of `burst` attempts a `period` (GCRA).
-- Seconds to wait; 0: allowed, and counted.
create function throttle_take(wanted text, burst integer, period interval) returns double precision
    language plpgsql security definer set search_path = public as $$
declare
    step interval := period / burst;
    at timestamptz := clock_timestamp();
    wait double precision;
begin
    insert into throttle as t (key, until) values (wanted, at + step)
    on conflict (key) do update set until = greatest(t.until, at) + step
        where greatest(t.until, at) + step <= at + period;
    if found then
        return 0;
    end if;
    select extract(epoch from t.until + step - at - period) into wait
        from throttle t where t.key = wanted;
    return greatest(wait, 1);
end $$;

-- Seconds to wait before an attempt would be allowed; counts nothing.
create function throttle_wait(wanted text, burst integer, period interval) returns double precision
    language sql stable security definer set search_path = public
    begin atomic
        select greatest(0, extract(epoch from
            coalesce((select t.until from throttle t where t.key = wanted), clock_timestamp())
            + period / burst - clock_timestamp() - period))::double precision;
    end;

-- Forget attempts, as after a right password.
create function throttle_clear(wanted text) returns void
    language sql security definer set search_path = public
    begin atomic
        delete from throttle where key = wanted;
    end;

revoke all on function firms_of, firms_with_mail, throttle_take, throttle_wait, throttle_clear
    from public;
grant execute on function firms_of, firms_with_mail, throttle_take, throttle_wait, throttle_clear
    to map_app;

-- What has served its purpose, in every firm.
create function forget() returns bigint
    language sql security definer set search_path = public
    begin atomic
        with sessions as (delete from session where ends_at < now() or idle_until < now()
                          returning 1),
             codes as (delete from code where expires_at < now() - interval '1 day' returning 1),
             links as (delete from link where expires_at < now() - interval '7 days' returning 1),
             mails as (delete from outbox where state <> 'waiting'
                       and created_at < now() - interval '90 days' returning 1),
             throttles as (delete from throttle where until < now() returning 1)
        select (select count(*) from sessions) + (select count(*) from codes)
             + (select count(*) from links) + (select count(*) from mails)
             + (select count(*) from throttles);
    end;
revoke all on function forget from public;
grant execute on function forget to map_app;

-- The two questions of every document, for many requests at once and across firms. They answer
-- only for the firm and digest, or write only for the firm, that each request names itself.
create function visitors(firms text[], digests text[], at timestamptz)
    returns table (
        number bigint, firm text, digest text, person uuid, stage text, klant text, next text,
        seen_at timestamptz, idle_until timestamptz, ends_at timestamptz, username text,
        name text, role text, mobile_sealed text, language text, previous_login_at timestamptz,
        klanten json
    )
    language sql stable security definer set search_path = public
    begin atomic
        select w.number, s.firm, s.digest, s.person, s.stage, s.klant, s.next, s.seen_at,
               s.idle_until, s.ends_at, p.username, p.name, p.role, p.mobile_sealed, p.language,
               p.previous_login_at,
               (select json_agg(json_build_array(k.number, k.name, k.relatiebeheerder)
                                order by lower(k.name), k.number)
                from access a join klant k on k.firm = a.firm and k.number = a.klant
                where a.firm = s.firm and a.person = s.person)
        from unnest(firms, digests) with ordinality as w (firm, digest, number)
        join session s on s.firm = w.firm and s.digest = w.digest
        join person p on p.firm = s.firm and p.id = s.person
        where s.idle_until > at and s.ends_at > at and p.state = 'active';
    end;

create function audit_append(
    firms text[], events text[], persons uuid[], klanten text[], subjects text[],
    requests text[], data text[]
) returns void
    language sql security definer set search_path = public
    begin atomic
        insert into audit (firm, event, person, klant, subject, request, data)
        select w.firm, w.event, w.person, w.klant, w.subject, w.request, w.data::jsonb
        from unnest(firms, events, persons, klanten, subjects, requests, data)
             as w (firm, event, person, klant, subject, request, data);
    end;
revoke all on function visitors, audit_append from public;
grant execute on function visitors, audit_append to map_app;
