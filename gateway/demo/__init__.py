"""The one-command world: real servers beside the portal, on one machine, for one person."""
