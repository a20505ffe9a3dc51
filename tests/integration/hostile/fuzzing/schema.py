"""JSON Schema as our OpenRPC document uses it: values that fit a schema, and whether a value does.

Only the words that stand in the document are known; another one is an error, so that a new word is not passed over in silence.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Schema = Mapping[str, Any]

ITEMS_MAX: Final = 4
"""Of generated arrays and maps: what is large is the mutations' business."""
NO_MEANING: Final = {"description", "title", "summary", "default", "examples", "$comment", "format"}
KNOWN: Final = NO_MEANING | {
    "$ref", "type", "enum", "const", "pattern", "minimum", "maximum", "minLength", "maxLength", "items", "minItems", "maxItems",
    "properties", "required", "additionalProperties", "propertyNames", "oneOf", "anyOf", "allOf",
}  # fmt: skip
SIMPLE_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


class Schemas:
    """The schemas of a document, and values that the chain really has: a hash at random is never one of a block."""

    def __init__(self, components: Mapping[str, Schema], known: Sequence[str] = ()) -> None:
        self._components = components
        self._known = sorted(set(known))
        self._made: dict[str, st.SearchStrategy[Any]] = {}

    def __or__(self, other: Schemas) -> Schemas:
        """The schemas of both."""
        return Schemas({**self._components, **other._components}, [*self._known, *other._known])

    def values(self, schema: Schema) -> st.SearchStrategy[Any]:
        """Values that fit."""
        unknown = schema.keys() - KNOWN
        assert not unknown, f"words of JSON Schema that the fuzzer does not know: {sorted(unknown)}"
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            if name not in self._made:
                # Set before it is made: a schema may hold itself.
                self._made[name] = st.deferred(lambda: self._named(name))
            return self._made[name]
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(list(schema["enum"]))
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return st.one_of([self.values(each) for each in schema[word]])
        kind = schema.get("type")
        if isinstance(kind, list):
            return st.one_of([self.values({**schema, "type": each}) for each in kind])
        return self._of_type(kind, schema)

    def _named(self, name: str) -> st.SearchStrategy[Any]:
        return self.values(self._components[name])

    def _of_type(self, kind: str | None, schema: Schema) -> st.SearchStrategy[Any]:
        match kind:
            case None:
                return SIMPLE_VALUES
            case "null":
                return st.none()
            case "boolean":
                return st.booleans()
            case "integer":
                return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**64 - 1))
            case "number":
                low, high = schema.get("minimum", -1e9), schema.get("maximum", 1e9)
                return st.floats(low, high, allow_nan=False) | st.integers(int(low), int(high))
            case "string":
                return self._text(schema)
            case "array":
                items = self.values(schema.get("items", {}))
                most = min(schema.get("maxItems", ITEMS_MAX), max(ITEMS_MAX, schema.get("minItems", 0)))
                return st.lists(items, min_size=schema.get("minItems", 0), max_size=most)
            case "object":
                return self._object(schema)
        raise AssertionError(f"no JSON Schema type is called {kind!r}")

    def _text(self, schema: Schema) -> st.SearchStrategy[str]:
        pattern = schema.get("pattern")
        if pattern is None:
            return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 40))
        fitting = [value for value in self._known if re.search(pattern, value)]
        at_random = st.from_regex(re.compile(pattern.replace("$", r"\Z"), re.ASCII))
        return (
            st.one_of(st.sampled_from(fitting), st.sampled_from(fitting), at_random) if fitting else at_random
        )

    def _object(self, schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
        properties, required = schema.get("properties", {}), set(schema.get("required", ()))
        made = st.fixed_dictionaries(
            {name: self.values(each) for name, each in properties.items() if name in required},
            optional={name: self.values(each) for name, each in properties.items() if name not in required},
        )
        more = schema.get("additionalProperties")
        if not isinstance(more, dict):
            return made
        names = self.values({"type": "string", **schema.get("propertyNames", {})} if "$ref" not in schema.get("propertyNames", {}) else schema["propertyNames"])  # fmt: skip
        rest = st.dictionaries(names, self.values(more), max_size=ITEMS_MAX)
        return st.tuples(rest, made).map(lambda parts: {**parts[0], **parts[1]})

    def why_not(self, value: Any, schema: Schema, where: str = "result") -> str | None:
        """What of the value does not fit; None when all does."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            return self.why_not(value, self._components[name], f"{where} ({name})")
        for word in ("oneOf", "anyOf"):
            if word in schema:
                reasons = [self.why_not(value, each, where) for each in schema[word]]
                return None if None in reasons else " and ".join(str(reason) for reason in reasons)
        if "enum" in schema and value not in schema["enum"]:
            return f"{where}: {value!r:.80} is none of {schema['enum']}"
        kinds = schema.get("type")
        if kinds is not None:
            allowed = kinds if isinstance(kinds, list) else [kinds]
            if not any(_is_of(value, kind) for kind in allowed):
                return f"{where}: {value!r:.80} is no {' or '.join(allowed)}"
        if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
            return f"{where}: {value!r:.80} is not {schema['pattern']}"
        if isinstance(value, list):
            return self._why_not_array(value, schema, where)
        if isinstance(value, dict):
            return self._why_not_object(value, schema, where)
        return None

    def _why_not_array(self, value: list[Any], schema: Schema, where: str) -> str | None:
        if len(value) > schema.get("maxItems", len(value)):
            return f"{where}: {len(value)} items"
        items = schema.get("items", {})
        reasons = (self.why_not(item, items, f"{where}[{index}]") for index, item in enumerate(value))
        return next((reason for reason in reasons if reason), None)

    def _why_not_object(self, value: dict[str, Any], schema: Schema, where: str) -> str | None:
        if missing := [name for name in schema.get("required", ()) if name not in value]:
            return f"{where}: {missing[0]} is missing"
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in properties:
                reason = self.why_not(item, properties[name], f"{where}.{name}")
            elif more is False:
                return f"{where}: {name!r:.40} is not described"
            elif isinstance(more, dict):
                reason = self.why_not(
                    name, schema.get("propertyNames", {}), f"{where}, a name"
                ) or self.why_not(item, more, f"{where}.{name:.20}")
            else:
                reason = None
            if reason:
                return reason
        return None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all schemas."""
        return tuple(self._components)


def _is_of(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    raise AssertionError(f"no JSON Schema type is called {kind!r}")
