"""Apache WSS4J takes what we sign, we take what it signs, and both refuse the same forgeries."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from lxml import etree

from gateway.delivery import messages, names, verify, wus
from gateway.delivery.certificates import Trust
from gateway.delivery.verify import Expected, Forged
from tests.delivery.pki import Pki
from tests.delivery.replies import KS, NS, Reply

JARS = ("wss4j", "xmlsec", "commons-logging", "commons-codec", "slf4j-api", "slf4j-nop",
        "woodstox-core", "stax2-api")  # fmt: skip
OURS = "urn:uuid:5f0cf0a2-3ac1-4f0f-9b8c-4a6f3ac1e8b0"
SIGNED = "signed Action Body MessageID ReplyTo Timestamp To"


class Wss4j:
    """The program in java/, compiled."""

    def __init__(self, folder: Path) -> None:
        jars = [Path(f"/usr/share/java/{name}.jar") for name in JARS]
        if not shutil.which("javac") or not all(jar.exists() for jar in jars):
            pytest.skip("not here: javac, or Debian's libwss4j-java and libxml-security-java")
        self._path = ":".join([str(folder), *map(str, jars)])
        source = Path(__file__).parent / "java" / "Wss4j.java"
        subprocess.run(["javac", "-cp", self._path, "-d", folder, source], check=True)

    def __call__(self, *arguments: str | Path) -> list[str]:
        run = subprocess.run(
            ["java", "-cp", self._path, "Wss4j", *map(str, arguments)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()


@pytest.fixture(scope="session")
def wss4j(tmp_path_factory: pytest.TempPathFactory) -> Wss4j:
    return Wss4j(tmp_path_factory.mktemp("wss4j"))


def test_it_takes_what_we_sign(wss4j, aanlevering, pki, tmp_path):
    """One start of Java for all: what we sign, and the same tampered with."""
    ca, _ = pki.ca.write(tmp_path, "ca")
    to = wus.Addressing("https://wus.example/x", names.AANLEVEREN.action, OURS)
    now = datetime.now(UTC)
    content = messages.aanleveren(aanlevering(rol="A & B"))
    good = {
        m: b"".join(wus.sign(content, to, pki.client.credentials(), now, m).inline())
        for m in ("sha1", "sha256")
    }
    text = good["sha1"]
    unsigned = etree.fromstring(text)
    header = unsigned.find("s:Header", NS)
    header.remove(header[0])
    cases = {
        text: SIGNED,
        good["sha256"]: SIGNED,
        text.replace(b"MAP-0001", b"MAP-0002"): "refused WSSecurityException",
        text.replace(b"example/x", b"example/y"): "refused WSSecurityException",
        text.replace(b"</wsu:Expires>", b"</wsu:Expires >"): SIGNED,  # the same to c14n
        text.replace(b"<ds:SignatureValue>", b"<ds:SignatureValue>A"): (
            "refused WSSecurityException"
        ),
        b"".join(
            wus.sign(content, to, pki.stranger.credentials(), now).inline()
        ): "refused WSSecurityException",
        etree.tostring(unsigned): "unsigned",
    }
    files = [tmp_path / f"{number}.xml" for number in range(len(cases))]
    for file, data in zip(files, cases, strict=True):
        file.write_bytes(data)
    assert wss4j("verify", ca, *files) == list(cases.values())


@pytest.mark.parametrize("method", ["sha1", "sha256"])
def test_we_take_what_it_signs(wss4j, pki: Pki, trust: Trust, tmp_path, method):
    p12, plain, signed = (tmp_path / name for name in ("key.p12", "plain.xml", "signed.xml"))
    p12.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"service", pki.service.key, pki.service.certificate, [pki.ca.certificate],
            BestAvailableEncryption(b"test"),
        )
    )  # fmt: skip
    plain.write_bytes(Reply(OURS).plain())
    wss4j("sign", p12, method, plain, signed)
    data = signed.read_bytes()
    assert b"InclusiveNamespaces" in data
    expected = Expected(names.AANLEVEREN, OURS, datetime.now(UTC))
    content = verify.verify(verify.parse(data), trust, expected)
    assert content.tag == f"{{{KS}}}aanleverResponse"
    for old, new in ((b"MAP-0001", b"MAP-0002"), (b"/anonymous", b"/none"), (b":0<", b":1<")):
        bad = data.replace(old, new)
        assert bad != data
        with pytest.raises(Forged):
            verify.verify(verify.parse(bad), trust, expected)
