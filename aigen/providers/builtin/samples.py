"""Example and wrong values for fields, for generated tests, pages and manuals."""

from __future__ import annotations

from typing import Any

from .request import Field, Resource

_MAX_LENGTHS = {"text": 200, "longtext": 5000, "url": 500, "phone": 40, "email": 254}
_SAMPLES: dict[str, Any] = {
    "longtext": "First line\nSecond line",
    "phone": "+49 30 901820",
    "integer": 3,
    "decimal": 12.5,
    "boolean": True,
    "date": "2030-12-31",
    "time": "17:30",
    "email": "ada@example.org",
    "url": "https://example.org/page?x=1",
}
_WRONG: dict[str, tuple[Any, ...]] = {
    "text": (17, True, ["x"], "x" * 201, "bell\u0007"),
    "longtext": (17, {"a": 1}, "bell\u0007"),
    "phone": (17, "1" * 50),
    "integer": ("3", 1.5, True, 10**30),
    "decimal": ("3", True, 10**30, []),
    "boolean": ("yes", 1, []),
    "date": ("tomorrow", "2030-02-30", "2030-1-1", 20300101),
    "time": ("noon", "25:00", "7:30"),
    "email": ("ada", "ada@", "a b@example.org", 5),
    "url": ("example.org", "javascript:alert(1)", "https://", 5),
    "choice": ("no such choice", 1, []),
}


def field_data(field: Field) -> dict[str, Any]:
    """The field as the generated application describes it to itself."""
    default = False if field.type == "boolean" else field.choices[0] if field.choices else None
    data: dict[str, Any] = {
        "name": field.name,
        "label": field.label,
        "type": field.type,
        "required": field.required,
        "default": None if field.required else default,
    }
    if field.choices:
        data["choices"] = list(field.choices)
    elif field.type in _MAX_LENGTHS:
        data["max_length"] = _MAX_LENGTHS[field.type]
    limits = {"min": field.minimum, "max": field.maximum}
    return data | {name: limit for name, limit in limits.items() if limit is not None}


def sample_value(field: Field) -> Any:
    """A value that is accepted and read back as it is."""
    if field.type == "choice":
        return field.choices[-1]
    if field.type == "text":
        return f"Example {field.label.lower()}"
    value = _SAMPLES[field.type]
    if field.type in ("integer", "decimal"):
        low = field.minimum if field.minimum is not None else value
        return min(max(value, low), field.maximum if field.maximum is not None else value)
    return value


def sample_record(resource: Resource) -> dict[str, Any]:
    return {field.name: sample_value(field) for field in resource.fields}


def changed_record(resource: Resource) -> dict[str, Any]:
    """Another accepted value for one field."""
    field = next((field for field in resource.fields if field.type == "boolean"), resource.fields[0])
    if field.type == "boolean":
        return {field.name: False}
    if field.type == "choice":
        return {field.name: field.choices[0]}
    if field.type in ("integer", "decimal"):
        return {field.name: field.maximum if field.maximum is not None else (field.minimum or 0) + 7}
    others = {"date": "2031-01-15", "time": "08:05", "email": "grace@example.org", "url": "https://example.org/other"}
    return {field.name: others.get(field.type, "Changed")}


def wrong_values(resource: Resource) -> list[tuple[str, Any]]:
    """Pairs of field and value that must be refused."""
    pairs = [(field.name, value) for field in resource.fields for value in _WRONG[field.type]]
    for field in resource.fields:
        pairs += [(field.name, field.maximum + 1)] if field.maximum is not None else []
        pairs += [(field.name, field.minimum - 1)] if field.minimum is not None else []
    return pairs
