"""Whether the locks are in step with setup.cfg and one another; needs no network.

`python -m tests.house.lock` prints what is not and ends with 1.
"""

import configparser
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)
_HOST = re.compile(r"://|--(?:extra-)?index-url|--find-links")


def wanted(text: str) -> Iterator[Requirement]:
    """What a setup.cfg asks for, with all its extras."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read_string(text)
    for lines in (setup["options"]["install_requires"], *setup["options.extras_require"].values()):
        for line in lines.splitlines():
            if line and not line.startswith("#"):
                yield Requirement(line)


def faults(setup: str, lock: str) -> list[str]:
    """One sentence for each thing that is out of step; empty when all is well."""
    pins = {canonicalize_name(name): version for name, version in _PIN.findall(lock)}
    found = []
    for requirement in wanted(setup):
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{requirement.name} is not in the lock")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement} is asked for, the lock has {version}")
    if lock.count("--hash=sha256:") < len(pins):
        found.append("the lock has packages without a hash")
    if _HOST.search(lock):
        found.append("the lock names a host")
    return found


def differences(everything: str, running: str) -> list[str]:
    """What the lock of production has that the lock of development has not."""
    known = set(_PIN.findall(everything))
    return [
        f"{n}=={v} is only in the lock to run"
        for n, v in _PIN.findall(running)
        if (n, v) not in known
    ]


def main() -> int:
    """Print the faults; 1 when there are any."""
    names = ("setup.cfg", "requirements.lock", "requirements-run.lock")
    setup, everything, running = ((ROOT / name).read_text("utf-8") for name in names)
    only_needed = setup.split("[options.extras_require]")[0] + "[options.extras_require]\n"
    found = [
        *faults(setup, everything),
        *faults(only_needed, running),
        *differences(everything, running),
    ]
    for fault in found:
        print(f"{fault}: run `make lock`")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
