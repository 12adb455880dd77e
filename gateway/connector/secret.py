"""Secrets are references in a file, values only in memory."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gateway.errors import ConfigInvalid

_REFERENCE = re.compile(r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+)$")


def _checked(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        # The value itself is not repeated: it may be a password typed in by mistake.
        raise ValueError("a secret is a reference: env:NAME or file:/path")
    return value


#: A field of a connector's options that refers to a secret.
Secret = Annotated[
    str,
    AfterValidator(_checked),
    Field(json_schema_extra={"secret": True, "pattern": _REFERENCE.pattern}),
]


def resolve(reference: str, *, base: Path | None = None, env: Any = os.environ) -> str:
    """The value behind a reference.

    reference: ``env:NAME`` or ``file:/path`` (relative paths: below `base`; one trailing
    newline is not part of the secret). Raises ConfigInvalid without telling the value.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        value = env.get(rest)
        if not value:
            raise ConfigInvalid(f"environment variable {rest} is not set")
        return str(value)
    path = (base or Path()) / rest
    if path.exists() and not path.is_file():
        raise ConfigInvalid(f"secret file {path} is no file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigInvalid(f"secret file {path} cannot be read: {type(e).__name__}") from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigInvalid(f"secret file {path} is empty")
    return value
