"""Reading the file of a proof, and the seal over all of it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.domain import chain
from gateway.domain.proof.contents import FORMAT, VERSION
from gateway.domain.proof.findings import Finding, NotAProof


def read(text: bytes | str) -> dict[str, Any]:
    """The file. Raises NotAProof; also when a key stands there twice."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise NotAProof(f"not JSON: {str(e)[:100]}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise NotAProof(f"not a proof of a stuk: format is not {FORMAT}")
    if found.get("version") != VERSION:
        raise NotAProof(f"version {str(found.get('version'))[:20]} of the format is not known")
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def canonical(value: object) -> bytes:
    """JSON as RFC 8785 writes it; the file has neither fractions nor keys beyond ASCII."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def digests(content: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 (hex) of every piece but the seal: "stuk", "parts.0", "parts.1", ..."""
    pieces: dict[str, Any] = {}
    for name, value in content.items():
        if name != "seal" and isinstance(value, list) and value:
            pieces |= {f"{name}.{n}": one for n, one in enumerate(value)}
        elif name != "seal":
            pieces[name] = value
    return {name: hashlib.sha256(canonical(one)).hexdigest() for name, one in pieces.items()}


def sealed(content: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The content with its key and its seal."""
    public = key.public_key()
    said = {"algorithm": "Ed25519", "id": chain.key_id(public), "public": chain.key_text(public)}
    whole = {**content, "key": said}
    made = digests(whole)
    return {**whole, "seal": {"digests": made, "signature": chain.text_of(key.sign(_what(made)))}}


def _what(made: object) -> bytes:
    """What the seal signs."""
    return b"map-proof-1\n" + canonical(made)


def check(bundle: Mapping[str, Any], public: Ed25519PublicKey | None) -> Iterator[Finding]:
    """Which pieces are not as they were sealed. public: None when the shape is wrong already."""
    seal = bundle.get("seal")
    written = seal.get("digests") if isinstance(seal, dict) else None
    if not isinstance(seal, dict) or not isinstance(written, dict):
        yield Finding(False, "seal", "it is missing")
        return
    now = digests(bundle)
    for name in sorted(now.keys() | written.keys()):
        if now.get(name) != written.get(name):
            what = "changed" if name in now and name in written else "added or taken away"
            yield Finding(False, name, f"{what} after the proof was made")
    if public is not None:
        good = chain.signature_fits(public, str(seal.get("signature")), _what(written))
        yield Finding(good, "seal", "signed with the key" if good else "not signed with the key")
