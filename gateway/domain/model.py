"""What every model of the configuration is made of."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
