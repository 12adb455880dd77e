"""The one-command world: portal, worker, simulators and back offices with invented firms."""

from gateway.demo.world import run

__all__ = ["run"]
