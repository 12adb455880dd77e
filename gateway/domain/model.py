"""What every model of the configuration is made of."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

#: Where a secret stands: `env:NAME` or `file:PATH`; "": there is none.
Reference = Annotated[str, StringConstraints(pattern=r"^((env|file):\S+)?$")]


class Model(BaseModel):
    """Unknown keys are errors; objects do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Text(Model):
    """A text for people, in Dutch and in English. One string in the file serves for both."""

    nl: str = Field(min_length=1)
    en: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _both(cls, value: Any) -> Any:
        return {"nl": value, "en": value} if isinstance(value, str) else value

    def in_(self, language: str) -> str:
        """The text in a language; Dutch when there is no such language."""
        return self.en if language == "en" else self.nl


class Certified(Model):
    """What has client certificates for Digipoort and banks: references to PEM."""

    certificate: Reference = Field(
        default="", description="client certificate with its chain, PEM"
    )
    private_key: Reference = Field(default="", description="its key, PEM")
    next_certificate: Reference = Field(
        default="", description="the certificate that takes over when the first has ended, PEM"
    )
    next_private_key: Reference = Field(default="", description="the key of that one, PEM")

    @property
    def pairs(self) -> tuple[tuple[Reference, Reference], ...]:
        """Certificates with their keys, the one to use first in front."""
        both = (
            (self.certificate, self.private_key),
            (self.next_certificate, self.next_private_key),
        )
        return tuple(pair for pair in both if all(pair))

    @model_validator(mode="after")
    def _paired(self) -> Self:
        for certificate, key in (
            ("certificate", "private_key"),
            ("next_certificate", "next_private_key"),
        ):
            if bool(getattr(self, certificate)) != bool(getattr(self, key)):
                raise ValueError(f"{certificate} and {key} go together")
        if self.next_certificate and not self.certificate:
            raise ValueError("next_certificate comes after a certificate")
        return self
