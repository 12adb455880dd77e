"""Messages that a simulator was given: in memory, and in a file so that a restart finds them."""

import json
from collections import deque
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
            with file.open(encoding="utf-8") as lines:
                self._all.extend(json.loads(line) for line in lines if line.strip())

    def add(self, **message: Any) -> None:
        """One more, with the moment it came."""
        message["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._all.append(message)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(message, ensure_ascii=False) + "\n")

    def all(self) -> list[dict[str, Any]]:
        """All of them, newest last."""
        return list(self._all)

    def clear(self) -> None:
        """Forget them."""
        self._all.clear()
        if self._file is not None:
            self._file.unlink(missing_ok=True)
