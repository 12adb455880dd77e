"""Packages on stacks of others: zeep, node-soap and JAX-WS, from the WSDL as it is served."""

import asyncio
import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import zeep
from zeep.exceptions import Fault
from zeep.wsse.username import UsernameToken

from gateway.api.soap.names import OURS
from tests.filing.conftest import KLANT
from tests.packages.conftest import ob, ob_files
from tests.packages.soap import ADDRESS
from tests.servers.node_soap import ROOT, node

HERE = Path(__file__).parent


@pytest.fixture
def url(proef) -> str:
    """Where the service is."""
    return str(proef.client.make_url(ADDRESS))


# --- zeep


def _zeep(url: str, key: str, port: str) -> Any:
    client = zeep.Client(f"{url}?wsdl", wsse=UsernameToken("pakket", key))
    return client.create_service(f"{{{OURS}}}{port}", url)


@pytest.mark.parametrize("port", ["Soap11", "Soap12"])
async def test_zeep(office, proef, url, port):
    files = [{"naam": n, "bestandsnaam": f, "inhoud": d} for n, (f, d) in ob_files().items()]

    def run() -> str:
        service = _zeep(url, proef.key, port)
        told = service.UploadMessage(berichtId="z", stuk=ob(), document=files)
        assert told.staat == "te_accorderen"
        assert [p.naam for p in told.onderdelen] == ["ob-3240.xbrl", "ob-3240.pdf"]
        assert service.UploadMessage(berichtId="z", stuk=ob(), document=files).id == told.id
        assert service.GetMessageStatus(id=told.id).manifest == told.manifest
        heard = service.GetUpdatedMessages(vanaf=0)
        assert heard.stukken == [told.id]
        assert heard.gebeurtenissen[0].gebeurtenis == "stuk_put_up"
        with pytest.raises(Fault) as e:
            service.UploadMessage(berichtId="y", stuk=ob(jaar=1900), document=files)
        detail = e.value.detail
        assert detail.findtext(f".//{{{OURS}}}code") == "422"
        assert detail.find(f".//{{{OURS}}}fout").get("veld") == "jaar"
        with pytest.raises(Fault) as e:
            service.UploadMessage(berichtId="x", stuk=ob(), document=files)
        assert e.value.detail.findtext(f".//{{{OURS}}}stuk") == told.id
        back = service.Withdraw(id=told.id, reden="Verkeerde periode gekozen.")
        assert back.staat == "ingetrokken"
        done = service.UploadDocument(
            klant=KLANT, bron="map", map="Stukken", naam="zeep.pdf", inhoud=b"%PDF-1.7 zeep"
        )
        return str(done.id)

    assert await asyncio.to_thread(run) == "Stukken/zeep.pdf"
    assert (office.folder / "Stukken" / "zeep.pdf").read_bytes() == b"%PDF-1.7 zeep"


async def test_zeep_by_reference_and_for_the_package(office, proef, url):
    parts = [office.write("brief.pdf", "%PDF-1.4 brief")]
    wish = {
        "klant": KLANT, "soort": "vpb", "jaar": 2025, "periode": "2025",
        "onderdelen": [{"rol": "akkoorddocument", "bron": p.source, "id": p.id} for p in parts],
    }  # fmt: skip

    def run() -> None:
        service = _zeep(url, proef.key, "Soap11")
        told = service.UploadMessage(berichtId="r", stuk=wish)
        with pytest.raises(Fault, match="stuk: "):
            service.Report(id=told.id, gelukt=True)
        with pytest.raises(Fault, match="kennen wij niet"):
            _zeep(url, "map_eikenhof_x", "Soap11").GetUpdatedMessages()

    await asyncio.to_thread(run)


# --- node-soap


@pytest.mark.parametrize("way", ["inline", "mtom", "soap12"])
async def test_node_soap(proef, url, way):
    program = node()
    if program is None or not (ROOT / "node_modules" / "soap").is_dir():
        pytest.skip("not here: node, or node_modules/soap (run 'make assets')")
    files = {
        n: {"filename": f, "base64": base64.b64encode(d).decode()}
        for n, (f, d) in ob_files().items()
    }

    async def run(stuk: dict[str, Any]) -> dict[str, Any]:
        asked = json.dumps({"stuk": stuk, "files": files, "way": way})
        ran = await asyncio.to_thread(
            subprocess.run, [program, str(HERE / "soap_client.mjs"), url, proef.key],
            input=asked, capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return dict(json.loads(ran.stdout))

    told = await run(ob())
    assert told["put"]["stuk"]["staat"] == "te_accorderen", told
    assert told["updated"]["antwoord"]["stukken"] == [told["put"]["stuk"]["id"]]
    assert (await run(ob()))["put"]["stuk"]["id"] == told["put"]["stuk"]["id"]
    refused = json.dumps((await run(ob(jaar=1900)))["put"]["fault"])
    assert "409" in refused  # the same berichtId for something else


# --- JAX-WS: wsimport makes the client


JARS = ("jaxws-tools", "jaxws-rt", "jaxws-api", "jaxws-ri-runtime", "jaxb-xjc", "jaxb-runtime",
        "jaxb-core", "jaxb-api", "jaxb-impl", "jaxb-jxc", "xsom", "rngom", "dtd-parser",
        "relaxngDatatype", "istack-commons-runtime", "istack-commons-tools", "codemodel", "txw2",
        "javax.activation", "stax-ex", "streambuffer", "saaj-impl", "mimepull", "metro-policy",
        "gmbal", "woodstox-core", "stax2-api", "FastInfoset", "jws-api", "xml-resolver",
        "geronimo-annotation-1.3-spec", "javax.xml.soap-api")  # fmt: skip


def _java(*arguments: str | Path) -> str:
    ran = subprocess.run(
        [str(a) for a in arguments], capture_output=True, text=True, check=False, timeout=200
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


async def test_jax_ws(office, proef, url, person, tmp_path):
    jars = [Path(f"/usr/share/java/{name}.jar") for name in JARS]
    if not shutil.which("javac") or not all(jar.exists() for jar in jars):
        pytest.skip("not here: javac, or Debian's libjaxws-java")
    await person()
    async with proef.client.get(f"{ADDRESS}?wsdl") as r:
        (tmp_path / "portaal.wsdl").write_bytes(await r.read())
    for (_, data), name in zip(ob_files().values(), ("ob.xbrl", "ob.pdf"), strict=True):
        (tmp_path / name).write_bytes(data)
    path = ":".join(map(str, (tmp_path, *jars)))

    def run() -> list[str]:
        _java("java", "-cp", path, "com.sun.tools.ws.WsImport", "-Xnocompile", "-extension",
              "-d", tmp_path, "-p", "portaal", tmp_path / "portaal.wsdl")  # fmt: skip
        made = sorted((tmp_path / "portaal").glob("*.java"))
        _java("javac", "-nowarn", "-cp", path, "-d", tmp_path, HERE / "java/Pakket.java", *made)
        return _java(
            "java", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-cp", path, "Pakket", url,
            (tmp_path / "portaal.wsdl").as_uri(), proef.key, KLANT, tmp_path / "ob.xbrl",
            tmp_path / "ob.pdf", "sanne@bakkerij.example",
        ).splitlines()  # fmt: skip

    told = await asyncio.to_thread(run)
    id = told[0].split()[1]
    assert told == [
        f"mtom {id} te_accorderen",
        f"again {id} ob.pdf",
        f"status {id} 2",
        f"secured {id}",
        f"updated [{id}]",
        "document Stukken/uit-java.pdf",
        "fault 422 jaar Dit is geen jaar.",
        "fault 422 jaar Dit is geen jaar.",
        "withdrawn ingetrokken",
    ]
