"""A destination as it is configured: Digipoort or a bank's BIV; both speak WUS 2.0."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from gateway.domain.delivery import Timing
from gateway.domain.model import Certified, Model, Reference, Text
from gateway.domain.sbr import Identiteit

Url = Annotated[str, StringConstraints(pattern=r"^https://[^\s/?#]+/\S*$")]


class Receiver(Model):
    """A bank that the client can choose: `identiteitOntvanger`."""

    title: Text
    nummer: str = Field(max_length=35)
    type: str = Field(default="ID-ontvanger", max_length=20)

    @property
    def identiteit(self) -> Identiteit:
        """As it stands in the message."""
        return Identiteit(self.nummer, self.type)


class Times(Model):
    """Changes to gateway.domain.delivery.Timing, in seconds."""

    total: float | None = Field(default=None, gt=0)
    horizon: float | None = Field(default=None, gt=0)
    poll: float | None = Field(default=None, gt=0)
    poll_most: float | None = Field(default=None, gt=0)
    retry: float | None = Field(default=None, gt=0)
    retry_most: float | None = Field(default=None, gt=0)
    alarm: float | None = Field(default=None, gt=0)
    held: float | None = Field(default=None, gt=0)
    skew: float | None = Field(default=None, ge=0)
    watch: float | None = Field(default=None, gt=0)

    def timing(self) -> Timing:
        """The defaults with these changes."""
        changes: dict[str, Any] = self.model_dump(exclude_none=True)
        return Timing(**changes)


class Destination(Certified):
    """Where approved stukken are filed; the certificate is shared by the firms without one."""

    title: Text
    kind: Literal["digipoort", "bank"] = "digipoort"
    aanleveren: Url
    statusinformatie: Url
    ophalen: Url | None = Field(default=None, description="a bank has none")
    tls_ca: Reference = Field(default="", description="PEM; empty: the system's")
    reply_certificates: tuple[Reference, ...] = Field(
        default=(), description="PEM of the certificates that sign replies; pinned"
    )
    reply_ca: Reference = Field(default="", description="PEM of CAs of such certificates")
    reply_oin: str = Field(
        default="",
        pattern=r"^(\d{20})?$",
        description="whose certificate it must be, with reply_ca",
    )
    algorithm: Literal["sha1", "sha256"] = Field(
        default="sha1", description="of our signature; the WSDL says SHA-1"
    )
    mtom: bool = False
    rol: str = Field(default="", description="rolBelanghebbende, where it is not the soort's")
    receivers: dict[str, Receiver] = Field(default_factory=dict)
    times: Times = Times()

    @model_validator(mode="after")
    def _trusted(self) -> Self:
        if not (self.reply_certificates or self.reply_ca):
            raise ValueError("reply_certificates or reply_ca: without one no reply can be trusted")
        if self.reply_ca and not self.reply_oin:
            raise ValueError("reply_oin: without it every customer of reply_ca could sign a reply")
        return self
