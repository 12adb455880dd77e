"""The OpenAPI 3.1 description, made from the operations themselves."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.api.operation import Operation
from gateway.api.problem import TITLES

_REF = "#/components/schemas/{model}"
_PARTS = re.compile(r"\{(\w+)\}")
_USUAL = (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 502, 503, 504)
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "stuk": {"type": "string", "description": "het stuk dat er al is (409)"},
        "fouten": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["veld", "melding"],
                "properties": {"veld": {"type": "string"}, "melding": {"type": "string"}},
            },
        },
    },
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "dezelfde sleutel geeft hetzelfde antwoord, ook na een afgebroken verbinding",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
}


def describe(operations: Iterable[Operation], server: str) -> dict[str, Any]:
    """The whole description. server: the address before the paths."""
    every = list(operations)
    models: set[type[BaseModel]] = set()
    for one in every:
        models |= {m for m in (one.body, one.gives) if m is not None}
    ordered = sorted(models, key=lambda m: m.__name__)
    _, schemas = models_json_schema([(m, "validation") for m in ordered], ref_template=_REF)
    paths: dict[str, Any] = {}
    for one in every:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Portaal voor pakketten",
            "version": __version__,
            "description": "Stukken klaarzetten, documenten aanbieden, en volgen hoe het gaat.",
        },
        "servers": [{"url": server}],
        "security": [{"sleutel": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"sleutel": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.handler.__name__,
        "summary": one.summary,
        "description": f"Sleutel met scope `{one.scope}`.",
        "parameters": [*_path(one), *_query(one), *([_KEY] if one.method == "POST" else [])],
        "responses": _responses(one),
    }
    content = {k: {"schema": v} for k, v in one.content.items()}
    if one.body is not None:
        content = {"application/json": {"schema": _ref(one.body)}, **content}
    if content:
        told["requestBody"] = {"required": True, "content": content}
    return told


def _responses(one: Operation) -> dict[str, Any]:
    good = {"description": "Gelukt", "content": {"application/json": {"schema": _ref(one.gives)}}}
    failed = {
        "application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}},
    }
    usual = {s: TITLES[s] for s in (*_USUAL, *((409,) if one.method == "POST" else ()))}
    return {str(one.status): good} | {
        str(status): {"description": text, "content": failed}
        for status, text in sorted((usual | dict(one.also)).items())
    }


def _path(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARTS.findall(one.path)
    ]


def _query(one: Operation) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    schema = one.query.model_json_schema(ref_template=_REF)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": found}
        | ({"description": found["description"]} if "description" in found else {})
        for name, found in schema["properties"].items()
    ]


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
