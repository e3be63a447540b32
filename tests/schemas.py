"""The JSON Schemas of the reference, and what they have against a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docs" / "reference" / "schemas").glob("*.json"))
SCHEMAS: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in FILES}


def closed(schema: Any) -> Any:
    """The schema without room for members that it does not name; readers must leave that room."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        found.setdefault("additionalProperties", False)
    return found


CLOSED = Registry().with_resources(
    (schema["$id"], Resource.from_contents(closed(schema))) for schema in SCHEMAS.values()
)


def faults(name: str, document: object, part: str = "") -> list[str]:
    """What a schema has against a document, in which no member is unknown."""
    schema = {"$ref": SCHEMAS[name]["$id"] + part}
    validator = Draft202012Validator(schema, registry=CLOSED)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
