"""Copies what the pages use from the npm packages into ``static/vendor/`` (never committed).

``python -m gateway.pages.vendor`` after ``npm ci``; only the standard library. The icons become
one sprite whose symbols are named as in Lucide. Each file's SHA-256 goes into manifest.json,
which is written last: when it is there, everything is.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = Path(__file__).parent / "static" / "vendor"

#: Lucide's icons that templates and gateway.domain.media name.
ICONS = """
arrow-down arrow-left arrow-right arrow-up arrow-up-down badge-check banknote bell book-open
building-2 calendar check chevron-down chevron-left chevron-right circle-alert circle-check
circle-help clock cloud-off copy download external-link eye eye-off file file-archive
file-check-2 file-code file-image file-spreadsheet file-text file-warning folder folder-open
globe history hourglass house inbox info key-round landmark layers layout-dashboard life-buoy
link list-checks loader-circle lock log-out mail menu message-square panel-left-close
panel-left-open pen-line phone plug-zap refresh-cw search send settings shield-check smartphone
triangle-alert upload user users x
""".split()

FILES = {
    "inter-latin.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "inter-latin-ext.woff2": "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2",
    "LICENSE-inter.txt": "@fontsource-variable/inter/LICENSE",
    "LICENSE-lucide.txt": "lucide-static/LICENSE",
}
_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def sprite(folder: Path, names: Iterable[str]) -> str:
    """One SVG with a symbol an icon. Raises FileNotFoundError for a name Lucide does not have."""
    symbols = []
    for name in names:
        path = folder / f"{name}.svg"
        if not path.exists():  # renamed upstream: the old name lives on as an alias
            path = folder / f"{_ALIASES[name]}.svg"
        match = _BODY.search(path.read_text(encoding="utf-8"))
        if match is None:
            raise ValueError(f"{path.name} is not an icon")
        body = " ".join(match[1].split())
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{body}</symbol>')
    look = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {look} stroke-linejoin="round">'
        + "".join(symbols)
        + "</svg>\n"
    )


_ALIASES = {"circle-help": "circle-question-mark", "file-check-2": "file-check-corner"}


def build(modules: Path, target: Path) -> None:
    """Make the folder anew beside the old one, then swap them."""
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name, source in FILES.items():
        shutil.copyfile(modules / source, new / name)
    (new / "icons.svg").write_text(
        sprite(modules / "lucide-static" / "icons", ICONS), encoding="utf-8"
    )
    manifest = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(new.iterdir())
    }
    (new / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(new, target)


if __name__ == "__main__":
    build(ROOT / "node_modules", TARGET)
