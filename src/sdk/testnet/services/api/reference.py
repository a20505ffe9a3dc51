"""The reference of the API as two pages, made from its OpenAPI document: no script, nothing of anybody else's, and each below the 60 kB of a page."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdk.testnet.services import web

if TYPE_CHECKING:
    from collections.abc import Collection

STYLE: Final = """
:root{--bg:#f7f8fa;--surface:#fff;--surface-2:#eef1f5;--border:#d5dbe3;--strong:#828d9c;--text:#12181f;--muted:#545f6e;--link:#0b5cad;--accent:#0f766e;
--on-accent:#fff;--mono:ui-monospace,"SF Mono","Cascadia Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;color-scheme:light}
@media(prefers-color-scheme:dark){:root{--bg:#0e1318;--surface:#151c23;--surface-2:#1c252e;--border:#2b3743;--strong:#6e7f90;--text:#e7ecf2;--muted:#a3afbc;
--link:#7fb8f5;--accent:#5ccfc0;--on-accent:#0e1318;color-scheme:dark}}
*{box-sizing:border-box}html{scroll-padding-top:16px}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif}
main{max-width:1040px;margin:0 auto;padding:24px 24px 48px}h1{font-size:28px;line-height:1.25;margin:8px 0 12px}
h2{font-size:20px;line-height:1.25;margin:40px 0 12px}h2::first-letter{text-transform:uppercase}
a{color:var(--link)}:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:3px}
code,pre{font-family:var(--mono);font-size:13px}code{overflow-wrap:anywhere}nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:16px 0}
details,section{background:var(--surface);border:1px solid var(--border);border-radius:6px;margin:8px 0;padding:8px 16px}
summary{cursor:pointer;display:flex;flex-wrap:wrap;gap:0 12px;align-items:baseline;min-height:28px}summary::-webkit-details-marker{display:none}
summary b{min-width:56px;color:var(--accent);font-size:13px}summary span{flex:1 1 320px;color:var(--muted);font-size:14px}
details[open]>summary{margin-bottom:8px}details table{margin:8px 0}
table{border-collapse:collapse;width:100%;font-size:14px}td{border-top:1px solid var(--border);padding:6px 12px 6px 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}
pre{background:var(--surface-2);border-radius:6px;padding:12px 16px;white-space:pre-wrap;overflow-wrap:anywhere}
dl{font-size:14px}dt{margin-top:12px}dd{margin:2px 0 0;color:var(--muted)}
input,button{font:inherit;font-size:14px;color:var(--text);background:var(--surface);border:1px solid var(--strong);border-radius:6px;padding:7px 12px;min-height:36px;max-width:100%}
form label{display:block;font-weight:600}form input{display:block;width:100%;margin-top:4px;font-weight:400}
button{background:var(--accent);border-color:var(--accent);color:var(--on-accent);font-weight:600;cursor:pointer}
@media(max-width:640px){main{padding:16px 16px 32px}table,tbody,tr,td{display:block}tr{border-top:1px solid var(--border);padding:6px 0}td{border:0;padding:1px 0}td:empty{display:none}}
"""
ICON: Final = (Path(web.__file__).parent / "static" / "favicon.svg").read_bytes()
"""Of all sites of a network."""

TYPES: Final = "/docs/types"
"""Where the page of types is."""
_NAME: Final = re.compile(r"\b[A-Z]\w+")
PROBLEMS: Final = {
    "invalid_input": "The request cannot be read: a path, a cursor or a text is not what it has to be. The detail names the field, what was found and what is expected.",
    "invalid_parameter": "A parameter has a wrong value; errors names each, by its place.",
    "not_found": "What was asked for is not in the index. It may not be indexed yet: as_of of any list says how far the index is.",
    "method_not_allowed": "The path is there, and does not take this method.",
    "content_too_large": "The body is longer than 1 MiB.",
    "request_entity_too_large": "The body is longer than 1 MiB.",
    "unsupported_media_type": "The body is of another kind than application/json.",
    "wrong_origin": "A page of this origin may not POST here; the operator names those that may.",
    "unknown_key": "The API key is not known here, or has expired.",
    "missing_scope": "The API key is not for this: its scopes are in /api/v1/me.",
    "rate_limited": "The limit of cost units a minute is reached; Retry-After says when the count begins anew.",
    "key_reused": "This Idempotency-Key belongs to another request.",
    "in_progress": "A request with this Idempotency-Key is being answered.",
    "not_your_key": "A key is taken back by who sends it; one that the operator has configured, by the operator.",
    "too_many_keys": "As many keys are made as this network may make in a day.",
    "already_verified": "The contract's sources are known exactly; there are no better ones.",
    "duplicate_verification_request": "The same sources of the contract are in the queue.",
    "too_many_requests": "As many of your verifications wait as one client may have; send the next one when one is done.",
    "unsupported_language": "The standard JSON input is of a language that no compiler here takes.",
    "unsupported_compiler_version": "This version of the compiler is not here; the detail names those that are.",
    "contract_not_deployed": "The address has no code: it is another one, or the transaction is not in a block yet.",
    "too_many_viewers": "As many streams are open as there may be; ask every few seconds instead.",
    "unavailable": "Database or node do not answer now. Nothing that was final is lost.",
    "internal": "Our mistake; it is in our log under the request's id.",
}
"""What each `code` of a problem means; `type` leads here."""


def html_page(title: str, body: str) -> str:
    """Return a page of the API around its body, which is HTML already."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/favicon.svg" type="image/svg+xml"><link rel="stylesheet" href="/docs/style.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )


def reference_page(document: dict[str, Any]) -> str:
    """Return the page of resources and problems."""
    names = document["components"]["schemas"].keys()
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method, operation, names))
    parts = [f"<h2 id={_quoted(tag)}>{escape(tag)}</h2>{''.join(found)}" for tag, found in by_tag.items()]
    info = document["info"]
    contents = "".join(f"<a href={_quoted('#' + tag)}>{escape(tag)}</a>" for tag in (*by_tag, "problems"))
    return html_page(
        info["title"],
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
        f'<p><a href="/openapi.json">OpenAPI 3.1</a> · <a href="{TYPES}">Types</a> · <a href="/keys">Make a key</a></p>'
        f'<nav aria-label="Contents">{contents}</nav>{"".join(parts)}'
        f'<h2 id="problems">problems</h2><dl>{_problems()}</dl>',
    )


def types_page(document: dict[str, Any]) -> str:
    """Return the page of what is answered and taken."""
    schemas = document["components"]["schemas"]
    title = f"Types of the {document['info']['title']}"
    found = "".join(_schema(name, schema, schemas.keys()) for name, schema in sorted(schemas.items()))
    return html_page(title, f'<h1>{escape(title)}</h1><p><a href="/docs">Resources</a></p>{found}')


def _problems() -> str:
    return "".join(
        f"<dt id={_quoted('problem-' + code)}><code>{escape(code)}</code></dt><dd>{escape(what)}</dd>"
        for code, what in PROBLEMS.items()
    )


def _operation(path: str, method: str, operation: dict[str, Any], names: Collection[str]) -> str:
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
        f"<p>Body: <code>{_linked(_kind(one.get('schema', {})), names, TYPES)}</code></p>"
        for one in body.values()
    )
    return (
        f"<details id={_quoted(operation['operationId'])}><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
        f"<span>{escape(operation.get('description') or operation.get('summary', ''))}</span></summary>{given}{table}"
        f"<p>Answer: <code>{_linked(answer, names, TYPES)}</code></p></details>"
    )


def _schema(name: str, schema: dict[str, Any], names: Collection[str]) -> str:
    rows = [
        f"<tr><td><code>{escape(field)}</code></td><td>{_linked(_kind(one), names)}</td><td>{escape(one.get('description', ''))}</td></tr>"
        for field, one in schema.get("properties", {}).items()
    ]
    return (
        f"<details id={_quoted(name)}><summary><code>{escape(name)}</code> <span>{escape(schema.get('description', ''))}</span></summary>"
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


def _linked(kind: str, names: Collection[str], page: str = "") -> str:
    """A kind in words, in which types lead to where they are."""

    def link(found: re.Match[str]) -> str:
        name = found[0]
        return f"<a href={_quoted(f'{page}#{name}')}>{escape(name)}</a>" if name in names else escape(name)

    return _NAME.sub(link, escape(kind))


def _quoted(text: str) -> str:
    return f'"{escape(text, quote=True)}"'
