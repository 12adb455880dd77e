-- Mailboxes: what became of a file until it is moved, and how far its return messages are.

alter table processed
    add column content text,          -- keyed digest of all that the stuk is made of
    add column stem_sealed text,      -- what its return messages are called by
    add column faults_sealed text,    -- of a refused one: what stands beside it
    add column moved_at timestamptz;  -- null: it stands in the inbox still
create index processed_stuk on processed (firm, mailbox, stuk) where stuk is not null;
create index processed_content on processed (firm, mailbox, content) where content is not null;

-- cursor: number in the chain up to which return messages were written.
create table mailbox (
    firm text not null,
    id text not null,
    cursor bigint not null,
    primary key (firm, id)
);
alter table mailbox enable row level security;
create policy firm on mailbox for all to map_app
    using (firm = current_firm()) with check (firm = current_firm());
grant select, insert, update on mailbox to map_app;
