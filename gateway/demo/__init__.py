"""The one-command world: portal, worker, simulators and back offices with invented firms."""
