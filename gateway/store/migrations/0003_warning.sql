-- What somebody was warned of, so that nobody is warned of it twice. subject: what it is about;
-- step: how far it had come.
create table warning (
    firm text not null,
    subject text not null,
    step integer not null,
    at timestamptz not null default clock_timestamp(),
    primary key (firm, subject, step)
);
alter table warning enable row level security;
create policy firm on warning for all to map_app
    using (firm = current_firm()) with check (firm = current_firm());
grant select, insert on warning to map_app;
