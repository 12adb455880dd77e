"""Reads ``config/gateway.yaml`` and ``config/firms/*.yaml`` into checked models.

YAML 1.2 by ruamel: ``no`` is a word, ``0630`` too, and a key that stands twice is an error.
Every fault is told at once, each with its file and line, its path, what was expected and the
nearest key that exists. ``${NAME}`` and ``${NAME:-default}`` in a text are filled in from the
environment. Secrets are references (``env:NAME``, ``file:/path``), never values.
"""

import difflib
import ipaddress
import os
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from gateway.connector import registry, secret
from gateway.connector.contract import Connector
from gateway.connector.egress import EgressPolicy
from gateway.connector.secret import Secret
from gateway.domain.destination import Destination
from gateway.domain.firm import Firm, MailAddress, Source
from gateway.domain.model import Model
from gateway.errors import ConfigInvalid, PortalError

M = TypeVar("M", bound=BaseModel)

_SECRET_IN = re.compile(r"'secret': True")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Listen(Model):
    """Where the portal listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    proxies: tuple[str, ...] = Field(
        default=(), description="networks of trusted proxies; only they may tell the client"
    )

    @field_validator("port", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @field_validator("proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value


class DatabaseSettings(Model):
    """url: what the application connects with. owner_url: for migrations, when it is another."""

    url: str
    owner_url: str = ""
    most: int = Field(default=16, ge=2, le=200, description="connections at the most, a process")


class Egress(Model):
    """Where connectors and webhooks may connect to; see gateway.connector.egress."""

    hosts: tuple[str, ...] = Field(default=(), description="name:port; '*' for any port")
    webhooks: tuple[str, ...] = Field(
        default=(),
        description="the same for webhooks, which packages make: no host of a back office",
    )
    networks: tuple[str, ...] = Field(default=(), description="allowed ranges that are not public")

    @field_validator("hosts", "webhooks")
    @classmethod
    def _rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for rule in value:
            if not re.match(r"^(\*\.)?[^*:/\s]+:(\*|\d{1,5})$", rule):
                raise ValueError(f"{rule!r}: expected name:port, such as files.example.nl:443")
        return value

    def policy(self) -> EgressPolicy:
        """For connectors."""
        return self._of(self.hosts)

    def webhook_policy(self) -> EgressPolicy:
        """For webhooks."""
        return self._of(self.webhooks)

    def _of(self, hosts: tuple[str, ...]) -> EgressPolicy:
        return EgressPolicy(hosts, tuple(ipaddress.ip_network(n) for n in self.networks))


class MessagebirdSms(Model):
    """The classic MessageBird API (its keys serve until 31 December 2026)."""

    kind: Literal["messagebird"]
    key: Secret
    url: str = "https://rest.messagebird.com"


class BirdSms(Model):
    """Bird's v1 API."""

    kind: Literal["bird"]
    key: Secret
    url: str = "https://eu1.platform.bird.com"


class SimulatedSms(Model):
    """The SMS simulator: nothing leaves the machine."""

    kind: Literal["simulator"]
    url: str


class Sms(Model):
    """How text messages are sent."""

    via: MessagebirdSms | BirdSms | SimulatedSms = Field(discriminator="kind")
    countries: tuple[str, ...] = Field(default=("NL", "BE", "DE"), description="ISO 3166 codes")
    timeout: float = Field(default=8.0, gt=0, le=30)
    ten_minutes: int = Field(default=5, ge=3, description="messages to one number, 10 minutes")
    day: int = Field(default=20, ge=5, description="messages to one number, a day")


class Mail(Model):
    """The SMTP server that mail is handed to."""

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: Secret | None = None

    @field_validator("port", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value


class Gateway(Model):
    """config/gateway.yaml: the installation."""

    product: str = Field(default="MijnAccountantsPortal", description="name of the product")
    base_url: str = Field(description="the shared address, as people type it; links start so")
    also: tuple[str, ...] = Field(default=(), description="other host names of that address")
    key: Secret = Field(description="main key, 32 bytes or more; all other keys come from it")
    listen: Listen = Listen()
    database: DatabaseSettings
    egress: Egress = Egress()
    sms: Sms
    mail: Mail
    budget: float = Field(
        default=1.5, gt=0, le=10, description="seconds a dossier page waits for its sources"
    )
    destinations: dict[str, Destination] = Field(
        default_factory=dict, description="Digipoort and banks that stukken are filed with"
    )
    guard_file: str = Field(
        default="",
        description="file outside the database that remembers the last attempt; with several"
        " worker machines on a shared disk. It tells that an old backup was put back",
    )
    scanner: str = Field(
        default="",
        pattern=r"^(unix:/\S+|tcp://[^\s:/]+:\d+)?$",
        description="clamd that looks at what comes in: unix:/run/clamav/clamd.ctl or"
        " tcp://127.0.0.1:3310; empty: nothing does",
    )
    operations: MailAddress | Literal[""] = Field(
        default="", description="who hears that a shared certificate ends; empty: the log alone"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_token: Secret | None = Field(
        default=None, description="bearer token for /metrics; without it only 127.0.0.1 may ask"
    )

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.match(r"^https?://[a-z0-9.-]+(:\d+)?$", value):
            raise ValueError("expected http(s)://host[:port], without a path")
        return value


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured. `folder` is where relative paths start from."""

    folder: Path
    gateway: Gateway
    firms: Mapping[str, Firm]

    def secret(self, reference: str) -> str:
        """The value of a secret reference. Raises ConfigInvalid."""
        return secret.resolve(reference, base=self.folder)

    @staticmethod
    def options(source: Source) -> Any:
        """The options of a source, as its kind's own model."""
        return registry.find(source.kind).Config.model_validate(source.options)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong. `line` starts at 1; 0 when it is about a whole file."""

    file: str
    line: int
    path: str
    message: str
    nearest: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{where}: {self.path + ': ' if self.path else ''}{self.message}{hint}"


class SettingsError(PortalError):
    """The configuration is wrong; `faults` holds all that is."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class Loader:
    """Reads one folder of configuration and gathers every fault."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self._env = env
        self.faults: list[Fault] = []

    def load(self) -> Settings:
        """Raises SettingsError."""
        gateway = self._model(self.folder / "gateway.yaml", Gateway)
        firms: dict[str, Firm] = {}
        for path in sorted((self.folder / "firms").glob("*.yaml")):
            firm = self._firm(path)
            if firm is not None:
                firms[firm.id] = firm
        if not firms and not self.faults:
            self._fault(self.folder / "firms", 0, "", "no firm is configured")
        self._hosts(firms)
        if self.faults or gateway is None:
            raise SettingsError(self.faults)
        return Settings(self.folder, gateway, types.MappingProxyType(firms))

    def _firm(self, path: Path) -> Firm | None:
        tree = self._tree(path)
        firm = self._validate(path, tree, Firm) if tree is not None else None
        if tree is not None and isinstance(tree.get("sources"), CommentedSeq):
            self._sources(path, tree)
        if firm is not None and firm.id != path.stem:
            self._fault(path, _line(tree, ("id",)), "id", f"expected {path.stem!r}, as the file")
            return None
        if firm is not None:
            self._files(path, tree, firm)
            self._writing(path, tree, firm)
        return firm

    def _files(self, path: Path, tree: Any, firm: Firm) -> None:
        """Every picture that the firm's file names must be there, below its folder."""
        named: list[tuple[tuple[Any, ...], str]] = [(("style", "logo"), firm.style.logo)]
        named += [(("employees", i, "photo"), e.photo) for i, e in enumerate(firm.employees)]
        for where, name in named:
            found = (path.parent / name).resolve()
            if name and not (found.is_relative_to(path.parent.resolve()) and found.is_file()):
                self._fault(path, _line(tree, where), _dotted(where), f"no such file: {name}")

    def _sources(self, path: Path, tree: Any) -> None:
        """Check the options of each source against the model of its kind."""
        for i, source in enumerate(tree["sources"]):
            if not isinstance(source, CommentedMap) or not isinstance(source.get("kind"), str):
                continue
            try:
                model = registry.find(source["kind"]).Config
            except ConfigInvalid as e:
                where = ("sources", i, "kind")
                near = _nearest(source["kind"], registry.kinds())
                self._fault(path, _line(tree, where), _dotted(where), str(e), near)
                continue
            options = source.get("options", CommentedMap())
            self._validate(path, options, model, ("sources", i, "options"), tree)

    def _writing(self, path: Path, tree: Any, firm: Firm) -> None:
        """What is written needs a source that can be."""
        if firm.intake is not None:
            self._writable(path, tree, firm, ("intake", "source"), firm.intake.source)
        for i, box in enumerate(firm.mailboxes):
            where = "mailboxes", i
            self._writable(path, tree, firm, (*where, "source"), box.source, moves=True)
            for j, rule in enumerate(box.rules):
                if rule.into != "stuk":
                    into = (*where, "rules", j, "into", "source")
                    self._writable(path, tree, firm, into, rule.into.source)

    def _writable(
        self,
        path: Path,
        tree: Any,
        firm: Firm,
        where: tuple[Any, ...],
        id: str,
        *,
        moves: bool = False,
    ) -> None:
        """Whether a source can be written, and move files, as far as its kind and its options
        tell: a stranger's kind may say so only once it is opened."""
        source = firm.source(id)
        if source is None:
            return
        try:
            kind = registry.find(source.kind)
            options = kind.Config.model_validate(source.options)
        except (ConfigInvalid, ValidationError):
            return  # told already
        if kind.put is Connector.put or (moves and kind.move is Connector.move):
            what = "move" if moves else "write"
            message = f"source {id!r} is of the kind {source.kind}, which cannot {what} files"
        elif not getattr(options, "writable", True):
            message = f"source {id!r} cannot be written: its options do not say `writable: true`"
        else:
            return
        self._fault(path, _line(tree, where), _dotted(where), message)

    def _hosts(self, firms: Mapping[str, Firm]) -> None:
        seen: dict[str, str] = {}
        for firm in firms.values():
            if firm.host and firm.host in seen:
                self._fault(
                    self.folder / "firms" / f"{firm.id}.yaml",
                    0,
                    "host",
                    f"{firm.host} is the host of {seen[firm.host]} already",
                )
            seen[firm.host or firm.id] = firm.id

    def _model(self, path: Path, model: type[M]) -> M | None:
        tree = self._tree(path)
        return self._validate(path, tree, model) if tree is not None else None

    def _tree(self, path: Path) -> Any:
        """The file as ruamel's tree, with variables filled in; None after a fault."""
        yaml = YAML(typ="rt", pure=True)
        yaml.version = (1, 2)
        try:
            tree = yaml.load(path.read_text(encoding="utf-8"))
        except MarkedYAMLError as e:
            line = e.problem_mark.line + 1 if e.problem_mark else 0
            self._fault(path, line, "", " ".join(str(e.problem or e.context).split()))
            return None
        except (OSError, UnicodeDecodeError) as e:
            self._fault(path, 0, "", f"cannot be read: {type(e).__name__}")
            return None
        if not isinstance(tree, CommentedMap):
            self._fault(path, 1, "", "expected keys with values")
            return None
        return self._filled(path, tree, (), tree)

    def _filled(self, path: Path, node: Any, where: tuple[Any, ...], tree: Any) -> Any:
        """The node with ${NAME} replaced in every text below it."""
        if isinstance(node, (CommentedMap, CommentedSeq)):
            keys = list(node) if isinstance(node, CommentedMap) else range(len(node))
            for key in keys:
                node[key] = self._filled(path, node[key], (*where, key), tree)
            return node
        if not isinstance(node, str):
            return node

        def value(match: re.Match[str]) -> str:
            found = self._env.get(match[1]) or match[2]
            if found is None:
                message = f"environment variable {match[1]} is not set"
                self._fault(path, _line(tree, where), _dotted(where), message)
            return found or ""

        return _VARIABLE.sub(value, node)

    def _validate(
        self,
        path: Path,
        data: Any,
        model: type[M],
        below: tuple[Any, ...] = (),
        tree: Any = None,
    ) -> M | None:
        try:
            return model.model_validate(_plain(data))
        except ValidationError as e:
            for error in e.errors(include_url=False, include_input=False):
                where = (*below, *error["loc"])
                near = _near(model, error["loc"]) if error["type"] == "extra_forbidden" else ""
                line = _line(tree if tree is not None else data, where)
                self._fault(path, line, _dotted(where), _said(error["msg"], error["type"]), near)
            return None

    def _fault(self, path: Path, line: int, where: str, message: str, near: str = "") -> None:
        self.faults.append(Fault(_shown(path), line, where, message, near))


def load(folder: Path, env: Mapping[str, str] = os.environ) -> Settings:
    """The checked configuration of a folder. Raises SettingsError with every fault."""
    return Loader(folder, env).load()


def check_secrets(settings: Settings) -> list[Fault]:
    """Faults for secrets that do not resolve; values are not told."""
    faults = []
    for name, model in (("gateway.yaml", settings.gateway), *_options(settings)):
        for path, reference in _secrets_in(model):
            try:
                settings.secret(reference)
            except ConfigInvalid as e:
                faults.append(Fault(name, 0, path, str(e)))
    return faults


def schema() -> dict[str, Any]:
    """JSON Schemas of the two files, with the options of every kind, for editors."""
    firm = Firm.model_json_schema()
    branches = []
    for kind, found in registry.overview().items():
        if isinstance(found, registry.NotLoaded):
            continue
        options = found.Config.model_json_schema(ref_template=f"#/$defs/{kind}/$defs/{{model}}")
        firm["$defs"][kind] = options
        branches.append(
            {
                "if": {"properties": {"kind": {"const": kind}}},
                "then": {"properties": {"options": {"$ref": f"#/$defs/{kind}"}}},
            }
        )
    firm["$defs"]["Source"]["allOf"] = branches
    return {"gateway": Gateway.model_json_schema(), "firm": firm}


def _options(settings: Settings) -> Iterator[tuple[str, BaseModel]]:
    for firm in settings.firms.values():
        for source in firm.sources:
            yield f"firms/{firm.id}.yaml sources.{source.id}.options", settings.options(source)


def _secrets_in(model: BaseModel, below: str = "") -> Iterator[tuple[str, str]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        marked = isinstance(extra, dict) and extra.get("secret")
        if isinstance(value, BaseModel):
            yield from _secrets_in(value, f"{below}{name}.")
        elif isinstance(value, str) and (marked or _SECRET_IN.search(repr(field.annotation))):
            yield f"{below}{name}", value


def _plain(node: Any) -> Any:
    """Without ruamel's classes, so that error messages and strict types are ordinary."""
    if isinstance(node, CommentedMap):
        return {str(k): _plain(v) for k, v in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(v) for v in node]
    return node


def _line(tree: Any, where: Sequence[Any]) -> int:
    """Line of the deepest part of a path that stands in the tree, from 1."""
    line, node = 1, tree
    for part in where:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
        else:
            continue  # a word of pydantic's own, such as a union's branch
        node = node[part]
    return line


def _dotted(where: Sequence[Any]) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _near(model: type[BaseModel], where: Sequence[Any]) -> str:
    """The key closest to the unknown one at the end of `where`."""
    for part in where[:-1]:
        found = (
            _models_in(model.model_fields[part].annotation) if part in model.model_fields else []
        )
        if found:
            model = found[0]
    return _nearest(str(where[-1]), list(model.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in typing.get_args(annotation) for m in _models_in(a)]


def _nearest(word: str, words: Sequence[str]) -> str:
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=0.6)), "")


def _said(message: str, kind: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
