-- What packages left is forgotten too: answers after a day, events that arrived after a month and
-- dead ones after three. What a mailbox took in is kept as long as the same file may come back.

create or replace function forget() returns bigint
    language sql security definer set search_path = public
    begin atomic
        with sessions as (delete from session where ends_at < now() or idle_until < now()
                          returning 1),
             codes as (delete from code where expires_at < now() - interval '1 day' returning 1),
             links as (delete from link where expires_at < now() - interval '7 days' returning 1),
             mails as (delete from outbox where state <> 'waiting'
                       and created_at < now() - interval '90 days' returning 1),
             throttles as (delete from throttle where until < now() returning 1),
             answers as (delete from idempotency where at < now() - interval '1 day' returning 1),
             events as (delete from webhook_event
                        where (state = 'sent' and ended_at < now() - interval '30 days')
                           or (state = 'dead' and ended_at < now() - interval '90 days')
                        returning 1)
        select (select count(*) from sessions) + (select count(*) from codes)
             + (select count(*) from links) + (select count(*) from mails)
             + (select count(*) from throttles) + (select count(*) from answers)
             + (select count(*) from events);
    end;
