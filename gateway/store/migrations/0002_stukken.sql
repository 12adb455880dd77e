-- Stukken: what waits for a client's approval, who approved what, and its way to the receiver.
--
-- No column holds a document: parts are named by source, hash and length; names, reasons and
-- numbers of persons are sealed. A receiver's signed replies are kept as the proof that they are.

create table klant_identity (
    firm text not null,
    klant text not null,
    type text not null,            -- BTW, Fi, kvk, ...
    digest text not null,          -- keyed digest of the number
    primary key (firm, klant, type, digest),
    foreign key (firm, klant) references klant on delete cascade
);

create table mandate (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    person uuid not null,
    klant text not null,
    soort text not null,           -- * for every soort
    since date not null,
    until date,                    -- the last day; null: until it is ended
    created_at timestamptz not null default now(),
    primary key (firm, id),
    foreign key (firm, person) references person on delete cascade,
    foreign key (firm, klant) references klant on delete cascade
);
create index mandate_klant on mandate (firm, klant);

create table stuk (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    klant text not null,
    soort text not null,
    route text not null check (route in ('portal', 'backoffice', 'sign', 'inzage')),
    state text not null,
    jaar integer not null,
    periode text not null,
    deadline date,
    opmerking_sealed text,
    relatiebeheerder text,
    manifest text not null,        -- SHA-256 (hex) of all parts: what is approved
    content text not null,         -- SHA-256 (hex) of what is filed: twice is a duplicate
    rule jsonb not null,           -- who must approve
    identity_sealed text,          -- type and number of the belanghebbende
    summary_sealed text,           -- the figures that the message and the page name
    payment_sealed text,
    replaces uuid,
    put_up_by text not null,       -- employee, package or operations
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    primary key (firm, id),
    foreign key (firm, klant) references klant
);
create index stuk_klant on stuk (firm, klant, created_at desc);
create index stuk_open on stuk (firm, klant)
    where state in ('te_accorderen', 'deels_akkoord', 'klaar_om_te_verzenden');
create unique index stuk_duplicate on stuk (firm, klant, soort, content)
    where state not in ('ingetrokken', 'vervangen', 'afgekeurd', 'gewijzigd_na_akkoord',
                        'fout_bij_verzending');

create table stuk_part (
    firm text not null,
    stuk uuid not null,
    number integer not null,
    role text not null check (role in ('akkoorddocument', 'instance', 'bijlage')),
    source text not null,
    document_sealed text not null, -- the document's id in the source
    name_sealed text not null,
    media_type text not null,
    length bigint not null,
    sha256 text not null,
    primary key (firm, stuk, number),
    foreign key (firm, stuk) references stuk
);

create table seen (
    firm text not null,
    stuk uuid not null,
    person uuid not null,
    part integer not null,
    sha256 text not null,          -- of the bytes that were given, to the last one
    at timestamptz not null default now(),
    primary key (firm, stuk, person, part, sha256),
    foreign key (firm, stuk, part) references stuk_part,
    foreign key (firm, person) references person on delete cascade
);

create table akkoord (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    stuk uuid not null,
    person uuid not null,
    act text not null check (act in ('approved', 'rejected', 'paper')),
    manifest text not null,        -- what was approved
    code uuid,                     -- the code that confirmed it; null: sent later, or on paper
    reason_sealed text,
    staff uuid,                    -- who recorded it, when the person did not do it himself
    at timestamptz not null default now(),
    confirmed_at timestamptz,
    void_at timestamptz,
    primary key (firm, id),
    foreign key (firm, stuk) references stuk,
    foreign key (firm, person) references person
);
create unique index akkoord_once on akkoord (firm, stuk, person)
    where void_at is null and act in ('approved', 'paper');

create table consent (
    firm text not null,
    stuk uuid not null,
    bank text not null,
    person uuid not null,
    at timestamptz not null default now(),
    primary key (firm, stuk, bank),
    foreign key (firm, stuk) references stuk,
    foreign key (firm, person) references person
);

create table delivery (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    stuk uuid not null,
    kind text not null check (kind in ('sbr', 'backoffice')),
    destination text not null,     -- in gateway.yaml; a source of the firm for a back office
    receiver text not null default '', -- a bank
    berichtsoort text not null default '',
    channel text not null default '', -- keyed digest of destination, identity, berichtsoort
    aanleverkenmerk text not null,
    manifest text not null,
    state text not null default 'queued' check (state in (
        'queued', 'attempt', 'accepted', 'final_ok', 'final_failed', 'held_changed',
        'held_unavailable', 'uncertain', 'withdrawn')),
    kenmerk text,
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    trouble text not null default '', -- why it does not go on, as a word
    trouble_text text not null default '', -- what the receiver said
    alarmed_at timestamptz,
    ask_from timestamptz,          -- after a restore: ask the receiver first, from this moment
    created_at timestamptz not null default now(),
    accepted_at timestamptz,
    ended_at timestamptz,
    primary key (firm, id),
    unique (aanleverkenmerk),
    unique (firm, stuk, destination, receiver),
    foreign key (firm, stuk) references stuk
);
create unique index delivery_kenmerk on delivery (destination, kenmerk) where kenmerk is not null;
create index delivery_due on delivery (due_at)
    where state in ('queued', 'held_unavailable', 'attempt', 'accepted');
create index delivery_channel on delivery (channel);

-- The ledger of the machine: what was approved does not change, a kenmerk is written once, and no
-- state goes back (trust.md section 4, I4). The same moves stand in gateway.domain.delivery.
create function delivery_guard() returns trigger language plpgsql as $$
declare
    allowed constant jsonb := '{
        "queued": ["attempt", "accepted", "held_changed", "held_unavailable", "uncertain",
                   "withdrawn", "final_ok", "final_failed"],
        "held_unavailable": ["queued", "attempt", "held_changed", "uncertain", "withdrawn"],
        "attempt": ["queued", "accepted", "uncertain", "final_failed"],
        "uncertain": ["queued", "accepted", "final_failed", "withdrawn"],
        "accepted": ["final_ok", "final_failed"],
        "held_changed": ["withdrawn"],
        "final_ok": [], "final_failed": [], "withdrawn": []}';
begin
    if (old.firm, old.id, old.stuk, old.kind, old.destination, old.receiver, old.berichtsoort,
        old.channel, old.aanleverkenmerk, old.manifest)
       is distinct from
       (new.firm, new.id, new.stuk, new.kind, new.destination, new.receiver, new.berichtsoort,
        new.channel, new.aanleverkenmerk, new.manifest) then
        raise exception 'what was approved does not change';
    end if;
    if old.kenmerk is not null and new.kenmerk is distinct from old.kenmerk then
        raise exception 'a kenmerk is written once';
    end if;
    if old.state <> new.state and not allowed -> old.state ? new.state then
        raise exception 'a delivery does not go from % to %', old.state, new.state;
    end if;
    return new;
end $$;
create trigger delivery_guard before update on delivery
    for each row execute function delivery_guard();

create table attempt (
    firm text not null,
    id uuid not null default gen_random_uuid(),
    number bigint generated always as identity,
    delivery uuid not null,
    channel text not null,
    message_id text not null unique, -- wsa:MessageID
    opened_at timestamptz not null default clock_timestamp(),
    negatives integer not null default 0, -- answers that it has not arrived
    asked_at timestamptz,
    outcome text check (outcome in
        ('accepted', 'not_sent', 'refused', 'not_arrived', 'adopted', 'decided')),
    why text not null default '',
    ended_at timestamptz,
    primary key (firm, id),
    foreign key (firm, delivery) references delivery
);
-- One open question to a receiver at a time, whoever asks: then its answer has one meaning.
create unique index attempt_open on attempt (channel) where outcome is null;
create index attempt_delivery on attempt (firm, delivery, number);

create table status (
    firm text not null,
    delivery uuid not null,
    kenmerk text not null,
    code text not null,
    at timestamptz not null,       -- tijdstempelStatus
    description text not null,
    fault text not null default '',
    fault_text text not null default '',
    details text not null default '',
    received_at timestamptz not null default now(),
    primary key (firm, kenmerk, code, at),
    foreign key (firm, delivery) references delivery
);
create index status_delivery on status (firm, delivery, at);

create table reply (
    firm text not null,
    id bigint generated always as identity,
    delivery uuid not null,
    kind text not null check (kind in ('aanleveren', 'status')),
    message_id text not null,      -- of the question
    envelope text not null,        -- as it came, signature and all
    received_at timestamptz not null default now(),
    primary key (firm, id),
    foreign key (firm, delivery) references delivery
);
create index reply_delivery on reply (firm, delivery, id);

-- Berichten in a channel that are another product's.
create table stranger (
    firm text not null,
    channel text not null,
    kenmerk text not null,
    found_at timestamptz not null default now(),
    primary key (firm, channel, kenmerk)
);

-- Letters of one kind to one person that wait are one letter.
alter table outbox add bundle text;
create unique index outbox_bundle on outbox (firm, bundle)
    where state = 'waiting' and tries = 0 and bundle is not null;

create index audit_subject on audit (firm, subject, id) where subject <> '';

-- The chain: every row of the audit hashed onto the one before of its firm, when it is committed.
create table chain (
    firm text not null,
    number bigint not null,
    audit bigint not null,
    digest text not null,          -- SHA-256 (hex) of the row
    hash text not null,            -- SHA-256 (hex) of the hash before and the digest
    primary key (firm, number),
    unique (firm, audit)
);
create table checkpoint (
    firm text not null,
    number bigint not null,
    hash text not null,
    at timestamptz not null default now(),
    key text not null,             -- which key: the first signs of its hash
    signature text not null,       -- Ed25519, base64url
    primary key (firm, number)
);

-- One field of a row: its length in bytes and itself, so that borders cannot be moved.
create function chain_field(value text) returns text language sql immutable
    return coalesce(octet_length(convert_to(value, 'UTF8')) || ':' || value, '-') || ',';

create function audit_digest(a audit) returns text language sql stable
    return encode(sha256(convert_to(
        chain_field(a.firm) || chain_field(a.id::text)
        || chain_field(to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        || chain_field(a.event) || chain_field(a.person::text) || chain_field(a.klant)
        || chain_field(a.subject) || chain_field(a.request) || chain_field(a.data::text),
        'UTF8')), 'hex');

-- Runs at commit, so that the lock of a firm's chain is the last one that a transaction takes.
create function chain_append() returns trigger
    language plpgsql security definer set search_path = public as $$
declare
    last chain%rowtype;
    mine text := audit_digest(new);
begin
    perform pg_advisory_xact_lock(hashtextextended('chain:' || new.firm, 0));
    select * into last from chain where firm = new.firm order by number desc limit 1;
    insert into chain (firm, number, audit, digest, hash)
    values (new.firm, coalesce(last.number, 0) + 1, new.id, mine,
            encode(sha256(convert_to(coalesce(last.hash, '') || mine, 'UTF8')), 'hex'));
    return null;
end $$;
revoke all on function chain_append from public;

-- What stands in the audit already.
insert into chain (firm, number, audit, digest, hash)
    with recursive
        rows as (select a.firm, a.id, audit_digest(a) as digest,
                        row_number() over (partition by a.firm order by a.id) as number
                 from audit a),
        linked as (
            select r.firm, r.number, r.id, r.digest,
                   encode(sha256(convert_to(r.digest, 'UTF8')), 'hex') as hash
            from rows r where r.number = 1
            union all
            select r.firm, r.number, r.id, r.digest,
                   encode(sha256(convert_to(l.hash || r.digest, 'UTF8')), 'hex')
            from linked l join rows r on r.firm = l.firm and r.number = l.number + 1
        )
    select firm, number, id, digest, hash from linked;

create constraint trigger chain_append after insert on audit
    deferrable initially deferred for each row execute function chain_append();

do $$
declare
    t text;
begin
    foreach t in array array['klant_identity', 'mandate', 'stuk', 'stuk_part', 'seen', 'akkoord',
                             'consent', 'delivery', 'attempt', 'status', 'reply', 'stranger',
                             'chain', 'checkpoint']
    loop
        execute format('alter table %I enable row level security', t);
        execute format('create policy firm on %I for all to map_app'
                       ' using (firm = current_firm()) with check (firm = current_firm())', t);
    end loop;
end $$;
grant select, insert, update, delete on klant_identity, mandate to map_app;
grant select, insert, update on stuk, akkoord, delivery, attempt to map_app;
grant select, insert on stuk_part, seen, consent, status, reply, stranger, checkpoint to map_app;
grant select on chain to map_app; -- chain_append alone adds to it

-- Deliveries for which something is due: all that the worker may know before it names a firm.
create function deliveries_due(at timestamptz, most integer)
    returns table (firm text, id uuid)
    language sql stable security definer set search_path = public
    begin atomic
        select d.firm, d.id from delivery d
        where d.state in ('queued', 'held_unavailable', 'attempt', 'accepted') and d.due_at <= at
        order by d.due_at limit most;
    end;

-- Which kenmerken of a channel are known, whichever firm they belong to.
create function kenmerken_known(wanted text, asked text[]) returns setof text
    language sql stable security definer set search_path = public
    begin atomic
        select d.kenmerk from delivery d where d.channel = wanted and d.kenmerk = any (asked)
        union
        select s.kenmerk from stranger s where s.channel = wanted and s.kenmerk = any (asked);
    end;

-- Whether some delivery, of any firm, has this aanleverkenmerk.
create function delivery_is_ours(wanted text) returns boolean
    language sql stable security definer set search_path = public
    begin atomic
        select exists (select from delivery d where d.aanleverkenmerk = wanted);
    end;

-- The number of the last attempt that this database knows of, and the moment of its last change:
-- a worker that remembers a higher number knows that an old backup was put back.
create function attempts_made(out number bigint, out at timestamptz)
    language sql stable security definer set search_path = public
    begin atomic
        select coalesce(max(a.number), 0),
               greatest(max(a.opened_at), (select max(u.at) from audit u))
        from attempt a;
    end;

-- When an old backup was put back, and what moment it was of. Only functions touch it.
create table restored (
    at timestamptz primary key default clock_timestamp(),
    since timestamptz not null
);
alter table restored enable row level security;

-- After a restore: whatever may be sent asks its receiver first, also what is approved anew in the
-- days after it. How many deliveries wait now.
create function ask_first(since timestamptz) returns bigint
    language sql security definer set search_path = public
    begin atomic
        insert into restored (since) values (since);
        with asked as (
            update delivery set ask_from = since
            where state in ('queued', 'held_unavailable') returning 1)
        select count(*) from asked;
    end;
-- From which moment a new delivery has to ask about; null: no restore of late.
create function ask_from_now() returns timestamptz
    language sql stable security definer set search_path = public
    begin atomic
        select min(r.since) from restored r where r.at > clock_timestamp() - interval '96 hours';
    end;
-- And numbers of attempts go on where they had come to.
create function attempts_go_on(after bigint) returns void
    language plpgsql security definer set search_path = public as $$
begin
    perform setval(pg_get_serial_sequence('attempt', 'number'), after);
end $$;

revoke all on function deliveries_due, kenmerken_known, delivery_is_ours, attempts_made,
    ask_first, ask_from_now, attempts_go_on from public;
grant execute on function deliveries_due, kenmerken_known, delivery_is_ours, attempts_made,
    ask_first, ask_from_now, attempts_go_on to map_app;
