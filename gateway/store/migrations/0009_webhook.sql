-- What an event told when it was sent for the first time is told every time: a package that keeps
-- ids takes a later request for the same.

alter table webhook_event add column staat text;  -- of the stuk; null: not sent yet
