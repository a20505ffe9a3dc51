"""A small JSON-RPC client over HTTP, for the command line and the toolkit."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from metanode.rpc.errors import JSONRPCError, NodeFault, NodeUnreachable, error_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

TIMEOUT_S = 10.0
"""Longer than the node's own limit for a call (5 s), so that its reason arrives."""
ANSWER_TIMEOUTS = 12
"""A whole answer may take so many times the timeout, which bounds each wait for a piece of it: by default two minutes, the
largest answer at 20 Mbit/s. Who sends a byte now and then would hold a caller for ever."""
RESPONSE_BYTES_MAX = 256 * 1024 * 1024
"""Over the longest trace of a block; who answers without end does not fill the memory."""


class JSONRPCClient:
    """Asks one node. `open_client` makes it."""

    def __init__(
        self,
        url: str,
        http: httpx.AsyncClient,
        *,
        answer_s: float = ANSWER_TIMEOUTS * TIMEOUT_S,
        bytes_max: int = RESPONSE_BYTES_MAX,
    ) -> None:
        self._url = url
        self._http = http
        self._answer_s = answer_s
        self._bytes_max = bytes_max
        self._last_id = 0

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call.

        Raises:
            JSONRPCError: when the node refused; the class tells why.
            NodeFault: when the node could not serve it now.
            NodeUnreachable: when there is no answer.
        """
        request = self._request(method, params)
        result = _result(await self._exchange(request), request["id"])
        if isinstance(result, JSONRPCError | NodeFault):
            raise result
        return result

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The results of several calls in their order; an exception stands for each that failed.

        Raises:
            JSONRPCError: when the node refused the batch as a whole.
            NodeUnreachable: when there is no answer.
        """
        if not calls:
            return []
        requests = [self._request(method, params) for method, params in calls]
        answer = await self._exchange(requests)
        if not isinstance(answer, list):
            refusal = _result(answer, None)
            if isinstance(refusal, JSONRPCError | NodeFault):
                raise refusal
            raise NodeUnreachable(
                f"{self._url}: a batch was answered with a single response", has_answered=True
            )
        by_id = {
            entry["id"]: entry
            for entry in answer
            if isinstance(entry, dict) and isinstance(entry.get("id"), int)
        }
        return [_result(by_id.get(request["id"]), request["id"]) for request in requests]

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._last_id += 1
        return {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": list(params)}

    async def _exchange(self, body: Any) -> Any:
        try:
            async with asyncio.timeout(self._answer_s):
                status, content = await self._post(orjson.dumps(body))
        except TimeoutError:
            raise NodeUnreachable(
                f"{self._url} has not answered whole after {self._answer_s:g} s", has_answered=True
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeUnreachable(
                f"{self._url} does not answer: {str(error) or type(error).__name__}"
            ) from None
        try:
            return orjson.loads(content)
        except ValueError:
            text = content[:1_000].decode(errors="replace").strip()[:200]
            raise NodeUnreachable(f"{self._url} answers {status}: {text!r}", has_answered=True) from None

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer, which is read no further than to its limit."""
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        async with self._http.stream("POST", self._url, content=body, headers=headers) as response:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > self._bytes_max:
                    raise NodeUnreachable(
                        f"{self._url} answers {response.status_code}: more than {self._bytes_max} bytes",
                        has_answered=True,
                    )
        return response.status_code, bytes(content)


def _result(answer: Any, request_id: int | None) -> Any:
    """A result, or the exception that stands for it."""
    match answer:
        case {"error": {"code": int(code), "message": str(message), **rest}}:
            return error_of(code, message, rest.get("data"))
        case {"id": found, "result": result} if found == request_id:
            return result
        case _:
            raise NodeUnreachable(f"not a JSON-RPC response: {answer!r:.200}", has_answered=True)


@asynccontextmanager
async def open_client(
    url: str, *, timeout_s: float = TIMEOUT_S, bytes_max: int = RESPONSE_BYTES_MAX
) -> AsyncIterator[JSONRPCClient]:
    """A client whose connections are closed at the end of the block.

    Args:
        url: Of the node's JSON-RPC over HTTP.
        timeout_s: For each wait: to connect, for room to send, for the next piece of an answer. A whole answer has
            `ANSWER_TIMEOUTS` times as long.
        bytes_max: The longest answer that is read.
    """
    # The authorities' certificates take tens of milliseconds to read, and plain HTTP needs none.
    verify = not url.startswith("http:")
    async with httpx.AsyncClient(timeout=timeout_s, trust_env=False, verify=verify) as http:
        yield JSONRPCClient(url, http, answer_s=ANSWER_TIMEOUTS * timeout_s, bytes_max=bytes_max)
