# ruff: noqa: N818 - the names are those of the standard's error table
"""JSON-RPC errors: raised by handlers, which answer a caller, and by the client, when a node answered with one.

::

    InvalidInput
    └── JSONRPCError           carries `error_code`, the text and `data` of the error object
        ├── ParseError
        ├── InvalidRequest
        ├── MethodNotFound     unknown, or not available on this listener
        ├── InvalidParams
        ├── ServerError        the general -32000: "nonce too low", "filter not found", ...
        ├── ExecutionReverted  code 3; `data` holds the contract's bytes
        └── UnsupportedInMode  the method exists, but not under this network's consensus rules
    Unavailable
    ├── NodeFault              the node answered, and it is not the caller's fault
    │   ├── ServerBusy         a limit is reached; try again later
    │   ├── RequestTimedOut
    │   └── InternalError
    └── NodeUnreachable        no answer, or one that is no JSON-RPC
"""

from __future__ import annotations

from typing import Any, ClassVar

from metanode.errors import InvalidInput, Unavailable


class JSONRPCError(InvalidInput):
    """The request was understood and refused."""

    error_code: ClassVar[int] = -32000

    def __init__(self, message: str, data: Any = None, *, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.code = self.error_code if code is None else code


class ParseError(JSONRPCError):
    """The request is not JSON."""

    error_code = -32700


class InvalidRequest(JSONRPCError):
    """The request is JSON of another kind."""

    error_code = -32600


class MethodNotFound(JSONRPCError):
    """The node has no such method, or not on this listener."""

    error_code = -32601


class InvalidParams(JSONRPCError):
    """The parameters do not fit the method; the message names the argument."""

    error_code = -32602


class ServerError(JSONRPCError):
    """The general refusal of Ethereum nodes; the message says why."""

    error_code = -32000


class ExecutionReverted(JSONRPCError):
    """A contract refused the call; `data` is what it returned, in hexadecimal."""

    error_code = 3


class UnsupportedInMode(JSONRPCError):
    """The method does not exist under this network's consensus rules: no votes under proof of stake."""

    error_code = -32604


class NodeFault(Unavailable):
    """The request may be fine; the node could not serve it."""

    error_code: ClassVar[int] = -32603

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.code = self.error_code


class ServerBusy(NodeFault):
    """A limit is reached; the request may be repeated later."""

    error_code = -32005


class RequestTimedOut(NodeFault):
    """The answer did not come in time."""

    error_code = -32002


class InternalError(NodeFault):
    """Something broke in the node; its log says what."""

    error_code = -32603


class NodeUnreachable(Unavailable):
    """Nobody answers at this address, or not with JSON-RPC."""

    def __init__(self, message: str, *, has_answered: bool = False) -> None:
        super().__init__(message)
        self.has_answered = has_answered
        """Somebody has, with something else."""


_CLASSES: dict[int, type[JSONRPCError | NodeFault]] = {
    one.error_code: one
    for one in (
        ParseError,
        InvalidRequest,
        MethodNotFound,
        InvalidParams,
        ServerError,
        ExecutionReverted,
        UnsupportedInMode,
        ServerBusy,
        RequestTimedOut,
        InternalError,
    )
}


def error_of(code: int, message: str, data: Any = None) -> JSONRPCError | NodeFault:
    """The exception for an error object that a node sent."""
    kind = _CLASSES.get(code)
    return JSONRPCError(message, data, code=code) if kind is None else kind(message, data)
