"""Our codes against those of Arelle, on a real return that is broken in one way at a time.

Arelle needs the taxonomy: a stand-in with the concepts of that return lies beside the project.
It runs in a process of its own, once for all files, because it changes much of its process.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.domain.xbrl import checks
from gateway.domain.xbrl.checks import Expected
from tests.conftest import SHARED

GOOD = SHARED / "digipoort/sample-instances/VB-01_bd-rpt-ob-aangifte-2021.xbrl"
TAXONOMY = SHARED / "digipoort/stand-in-taxonomy/standin.zip"

DRIVE = """
import json, sys
from arelle.api.Session import Session
from arelle.RuntimeOptions import RuntimeOptions

taxonomy, *files = sys.argv[1:]
found = {}
for file in files:
    options = RuntimeOptions(
        entrypointFile=file, packages=[taxonomy], plugins="validate/NL", validate=True,
        disclosureSystemName="NT16", internetConnectivity="offline", logFile="logToBuffer",
        disablePersistentConfig=True,
    )
    with Session() as session:
        session.run(options)
        found[file] = [entry["code"] for entry in json.loads(session.get_logs("json"))["log"]]
print(json.dumps(found))
"""

END = "</xbrli:xbrl>"
CONTEXT = '<xbrli:context id="Msg">'
FACT = '<bd-i:ContactType contextRef="Msg">INT</bd-i:ContactType>'
MONEY = '<bd-i:ValueAddedTaxOwed decimals="INF" contextRef="Msg" unitRef="EUR">'
UNIT = '<xbrli:unit id="EUR">'
FOOTNOTE = (
    '<link:footnoteLink xlink:type="extended" xlink:role="http://www.xbrl.org/2003/role/link">'
    '<link:footnote xlink:type="resource" xlink:label="a" xml:lang="nl"'
    ' xlink:role="http://www.xbrl.org/2003/role/footnote">x</link:footnote></link:footnoteLink>'
)


def swap(old: str, new: str) -> Callable[[str], bytes]:
    """Changes the first place of some text, which must be there."""

    def change(text: str) -> bytes:
        assert old in text
        return text.replace(old, new, 1).encode()

    return change


def again(start: str, name: str, new: str) -> Callable[[str], bytes]:
    """Repeats the element that starts so, with another id."""

    def change(text: str) -> bytes:
        begin = text.index(start)
        end = text.index(f"</{name}>", begin) + len(f"</{name}>")
        element = text[begin:end]
        return (text[:end] + element.replace(start, new) + text[end:]).encode()

    return change


def whole(text: str) -> bytes:
    """The return itself."""
    return text.encode()


#: File name -> what is changed.
BROKEN: dict[str, Callable[[str], bytes]] = {
    "good.xbrl": whole,
    "two words.xbrl": whole,
    "extension.xml": whole,
    "bom.xbrl": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "character.xbrl": swap("Surname<", "Šurname<"),
    "comment.xbrl": swap(END, "<!-- \u2019 -->" + END),
    "currency.xbrl": swap("Surname<", "é €<"),
    "doctype.xbrl": swap("<xbrli:xbrl", "<!DOCTYPE xbrl><xbrli:xbrl"),
    "reference.xbrl": swap("Surname<", "&#1080;<"),
    "allowed-reference.xbrl": swap("Surname<", "&#xE9;&#8364;&amp;<"),
    "latin1.xbrl": lambda text: text.replace("UTF-8", "ISO-8859-1").encode("iso-8859-1"),
    "utf16.xbrl": lambda text: text.replace("UTF-8", "UTF-16").encode("utf-16"),
    "no-lang.xbrl": swap(' xml:lang="nl"', ""),
    "other-lang.xbrl": swap('xml:lang="nl"', 'xml:lang="es"'),
    "two-langs.xbrl": swap("<bd-i:ContactType ", '<bd-i:ContactType xml:lang="en" '),
    "cdata.xbrl": swap("Surname<", "<![CDATA[x]]><"),
    "nil.xbrl": swap(
        FACT,
        '<bd-i:ContactType xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:nil="true" contextRef="Msg"/>',
    ),
    "time.xbrl": swap("2021-10-01<", "2021-10-01T00:00:00<"),
    "unused-context.xbrl": lambda text: again(CONTEXT, "xbrli:context", '<xbrli:context id="d">')(
        text
    ).replace(b"2021-10-01", b"2021-09-01", 1),
    "same-context.xbrl": lambda text: again(CONTEXT, "xbrli:context", '<xbrli:context id="d">')(
        text
    ).replace(b'Prefix contextRef="Msg"', b'Prefix contextRef="d"', 1),
    "same-unit.xbrl": lambda text: again(UNIT, "xbrli:unit", '<xbrli:unit id="e">')(text).replace(
        b'unitRef="EUR"', b'unitRef="e"', 1
    ),
    "unused-unit.xbrl": lambda text: again(UNIT, "xbrli:unit", '<xbrli:unit id="p">')(
        text
    ).replace(b"iso4217:EUR", b"xbrli:pure", 1),
    "same-fact.xbrl": swap(FACT, FACT + FACT),
    "same-fact-other-value.xbrl": swap(MONEY, f"{MONEY}1</bd-i:ValueAddedTaxOwed>{MONEY}"),
    "empty.xbrl": swap(">Surname<", "><"),
    "precision.xbrl": swap(MONEY, MONEY.replace('decimals="INF"', 'precision="INF"')),
    "decimals.xbrl": swap(MONEY, MONEY.replace("INF", "1")),
    "footnote.xbrl": swap(END, FOOTNOTE + END),
    "formatted.xbrl": swap(">Surname<", '>&lt;p style="display: none">x&lt;/p><'),
}
#: What Arelle tells and we do not. A mark does not make UTF-8 another encoding; of a file with a
#: document type only the bytes are looked at, so its entry point (not one of the KvK) is not told.
ONLY_ARELLE = {"bom.xbrl": {"FR-NL-1.05"}, "doctype.xbrl": {"FR-KVK-2.03"}}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """File name -> the codes of Arelle."""
    if importlib.util.find_spec("arelle") is None:
        pytest.skip("not here: arelle")
    if not GOOD.exists() or not TAXONOMY.exists():
        pytest.skip(f"not here: {GOOD}")
    folder = tmp_path_factory.mktemp("arelle")
    files = [write(folder, name) for name in BROKEN]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRIVE, str(TAXONOMY), *map(str, files)],
        capture_output=True, text=True, check=True, cwd=folder,
        env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return {Path(f).name: codes(found[f]) for f in found}


def write(folder: Path, name: str) -> Path:
    """The broken return as a file."""
    (folder / name).write_bytes(BROKEN[name](GOOD.read_text()))
    return folder / name


def codes(found: list[str]) -> set[str]:
    """The codes of the filing rules among others."""
    return {c.removeprefix("NL.") for c in found if c.startswith(("NL.FR-", "FR-"))}


@pytest.mark.parametrize("name", BROKEN)
def test_arelle_tells_the_same(name: str, told: dict[str, set[str]]) -> None:
    """It applies the rules of the KvK to every report, so we do that here too."""
    data = BROKEN[name](GOOD.read_text())
    ours = codes([f.code for f in checks.faults(data, name, Expected("publicatiestukken"))])
    assert ours == told[name] - ONLY_ARELLE.get(name, set())
