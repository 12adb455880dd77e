-- What goes next to a webhook is found without a look at all that wait. Only in that order: "waiting"
-- in its condition would tempt a planner without statistics to look up one stuk's events with it.
create index webhook_event_next on webhook_event (firm, webhook, tries, due_at, number)
    where ended_at is null;
