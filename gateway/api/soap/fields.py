"""What an element says, checked with the models of REST."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gateway.api.operation import invalid
from gateway.domain import members
from gateway.domain.xml import Element

M = TypeVar("M", bound=BaseModel)


def read(element: Element, model: type[M], *, but: frozenset[str] = frozenset()) -> M:
    """The model of an element. but: children that are not of the model. Raises Problem 422."""
    try:
        return model.model_validate(members.of(element, but=but))
    except ValidationError as e:
        raise invalid(e) from None
