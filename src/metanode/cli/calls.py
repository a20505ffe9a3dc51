"""One JSON-RPC call of a command to a node of the local network."""

from __future__ import annotations

from typing import Any

import httpx

from metanode.errors import InvalidInput, Unavailable

CALL_TIMEOUT_S = 10.0


def call(url: str, method: str, params: list[Any]) -> Any:
    """Call `method` at `url` and return its result.

    Raises:
        InvalidInput: when the node answers with an error; its text is passed on.
        Unavailable: when the node does not answer.
    """
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    try:
        answer = httpx.post(url, json=request, timeout=CALL_TIMEOUT_S).json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(f"{url} does not answer: {error}; is the network up? `metanode status`") from None
    if "error" in answer:
        raise InvalidInput(f"{method}: {answer['error']['message']}")
    return answer["result"]
