"""Messages that a simulator was given: in memory, and in a file so that a restart finds them."""

import contextlib
import json
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: Messages kept, the newest.
MOST = 500


class Kept:
    """The newest messages, oldest first. file: one JSON object a line; None keeps nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._all: deque[dict[str, Any]] = deque(maxlen=MOST)
        if file is not None and file.exists():
            self._all.extend(_read(file))
            file.write_text("".join(map(_line, self._all)), encoding="utf-8")

    def add(self, **message: Any) -> None:
        """One more, with the moment it came."""
        message["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._all.append(message)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.write(_line(message))

    def all(self) -> list[dict[str, Any]]:
        """All of them, newest last."""
        return list(self._all)

    def clear(self) -> None:
        """Forget them."""
        self._all.clear()
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def _line(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False) + "\n"


def _read(file: Path) -> Iterator[dict[str, Any]]:
    """What stands in the file; a line that a kill cut off is left out."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):
                yield json.loads(line)
