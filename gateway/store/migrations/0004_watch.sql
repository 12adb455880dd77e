-- After an attempt seemed not to have arrived, its channel is looked at for three days: it may
-- come late (trust.md section 4, step 6). watch_at: the next look.
alter table delivery add column watch_at timestamptz, add column watch_until timestamptz;
create index delivery_watch on delivery (watch_at) where watch_at is not null;

create or replace function deliveries_due(at timestamptz, most integer)
    returns table (firm text, id uuid)
    language sql stable security definer set search_path = public
    begin atomic
        select due.firm, due.id from (
            (select d.firm, d.id, d.due_at from delivery d
             where d.state in ('queued', 'held_unavailable', 'attempt', 'accepted')
               and d.due_at <= at
             order by d.due_at limit most)
            union all
            (select d.firm, d.id, d.watch_at from delivery d where d.watch_at <= at
             order by d.watch_at limit most)
        ) as due (firm, id, moment)
        order by due.moment limit most;
    end;

-- Whether an attempt on a channel, whichever firm's, was given up of late and may still arrive.
create index attempt_lost on attempt (channel, ended_at)
    where outcome in ('not_arrived', 'decided');
create function channel_lost(wanted text, since timestamptz) returns boolean
    language sql stable security definer set search_path = public
    begin atomic
        select exists (
            select from attempt a
            where a.channel = wanted and a.outcome in ('not_arrived', 'decided')
              and a.ended_at > since);
    end;
-- Whether an attempt on a channel is open, whichever firm's.
create function channel_open(wanted text) returns boolean
    language sql stable security definer set search_path = public
    begin atomic
        select exists (
            select from attempt a where a.channel = wanted and a.outcome is null);
    end;
revoke all on function channel_lost, channel_open from public;
grant execute on function channel_lost, channel_open to map_app;
