"""The reference of the API as one page, made from its OpenAPI document: no script, nothing of anybody else's."""

from __future__ import annotations

from html import escape
from typing import Any, Final

STYLE: Final = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:0 auto;padding:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}h2{margin-top:2.5rem;text-transform:capitalize}
details{border:1px solid #8886;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}summary{cursor:pointer}
summary b{display:inline-block;min-width:3.5rem}table{border-collapse:collapse;width:100%}
td,th{border-top:1px solid #8884;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
"""


def reference_page(document: dict[str, Any]) -> str:
    """Return the page."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    parts = [f"<h2 id={_quoted(tag)}>{escape(tag)}</h2>{''.join(found)}" for tag, found in by_tag.items()]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    info = document["info"]
    contents = " · ".join(f"<a href={_quoted('#' + tag)}>{escape(tag)}</a>" for tag in (*by_tag, "types"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css"></head><body>'
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
        f'<p><a href="/openapi.json">OpenAPI 3.1</a> · {contents}</p>{"".join(parts)}'
        f'<h2 id="types">types</h2>{"".join(schemas)}</body></html>'
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}{'' if one.get('required') else ', may be left out'}"
        f"</td><td>{escape(_kind(one.get('schema', {})))}</td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", ())
    ]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    answer = next(
        (
            _kind(next(iter(found["content"].values())).get("schema", {}))
            for status, found in operation["responses"].items()
            if status.startswith("2") and found.get("content")
        ),
        "",
    )
    body = operation.get("requestBody", {}).get("content", {})
    given = "".join(
        f"<p>Body: <code>{escape(_kind(one.get('schema', {})))}</code></p>" for one in body.values()
    )
    return (
        f"<details id={_quoted(operation['operationId'])}><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(operation.get('description') or operation.get('summary', ''))}</summary>{given}{table}"
        f"<p>Answer: <code>{escape(answer)}</code></p></details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(field)}</code></td><td>{escape(_kind(one))}</td><td>{escape(one.get('description', ''))}</td></tr>"
        for field, one in schema.get("properties", {}).items()
    ]
    return (
        f"<details id={_quoted(name)}><summary><code>{escape(name)}</code> {escape(schema.get('description', ''))}</summary>"
        f"<table>{''.join(rows)}</table></details>"
    )


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{_kind(schema.get('items', {}))}[]"
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    return str(schema.get("type", "any"))


def _quoted(text: str) -> str:
    return f'"{escape(text, quote=True)}"'
