"""Call every method of a running node with parameters that fit its schema, and with such that almost do, and see that it stands.

    make fuzz-rpc                                     ten minutes
    make fuzz-rpc ARGS='--seconds 3600 --seed 7'      longer, and the same calls again
    make fuzz-rpc ARGS='--only eth_get --only trace_'
    make fuzz-rpc REPORT=1                            writes docs/evidence/fuzz-rpc.md

Of each answer: well formed JSON-RPC, an error code of the documented ones and never -32603, no word about the inside of the node, no text of ours
that repeats megabytes; and what answers parameters that fit is what the document promises. Beside it good requests are timed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import random
import re
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.acceptance.processes import slowness
from tests.integration.hostile import wire
from tests.integration.hostile.bar import NOT_FOR_CALLERS, holding
from tests.integration.hostile.fuzzing.mutation import encode, is_json
from tests.integration.hostile.fuzzing.surface import EVERYTHING, FRESH, HEAD, discover, fresh_transaction
from tests.integration.hostile.target import running_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.integration.hostile.fuzzing.surface import Method, Surface
    from tests.integration.hostile.target import Target

CODES: Final = frozenset(
    {-32700, -32600, -32601, -32602, -32604, -32000, -32001, -32002, -32003, -32005, 3, 4444}
)
"""What docs/reference/json-rpc-server.md lists, with those of standards: -32604 (not in this mode), 4444 (pruned), and EIP-7966's and eth_simulateV1's below."""
CODES_OF: Final = {"eth_simulateV1": range(-38_999, -38_000), "eth_sendRawTransactionSync": range(4, 8)}
SENDS: Final = ("eth_sendRawTransaction", "eth_sendRawTransactionSync")
MESSAGE_CHARS_MAX: Final = 1_000
P99_S_MAX: Final = 0.05
EXAMPLES_CI: Final = 12
KEPT_S: Final = 2.0
"""A connection that has said nothing for longer is made anew: the node closes it after five seconds, which large values may take to be drawn."""
CALLS_OF_A_SOCKET: Final = 200
"""Then a new one: subscriptions of one are limited, and its notifications are in the way."""


@dataclass
class Findings:
    """What a run has seen."""

    calls: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    """Methods that gave a result at least once."""
    accepted: int = 0
    """Transactions that a node took over JSON-RPC."""


class Caller:
    """Sends calls to one port over HTTP, over WebSocket and in batches, and holds the answers against the rules."""

    def __init__(self, target: Target, port: int, surface: Surface, findings: Findings) -> None:
        self._target = target
        self._port = port
        self._surface = surface
        self._findings = findings
        self._websocket: wire.WebSocket | None = None
        self._websocket_calls = 0
        self._connection: Any = None
        self._said_s = 0.0

    def close(self) -> None:
        """Close what is open."""
        for each in (self._websocket and self._websocket.connection, self._connection):
            if each is not None:
                each.close()
        self._websocket = self._connection = None

    def check(self, method: Method, params: Any, transport: str, *, fits: bool) -> None:
        """One call; AssertionError when its answer breaks a rule."""
        text = wire.request(method.name, encode(params))
        if HEAD in text:
            text = text.replace(HEAD, str(self._target.call("eth_getBlockByNumber", "latest", False)["hash"]))
        if FRESH in text:
            text = re.sub(FRESH + "[0-9a-f]{4}", fresh_transaction(self._target), text)
        readable = is_json(text)
        sent = f"[{wire.request('eth_chainId')},{text}]" if transport == "batch" else text
        try:
            answer = self._send(sent, transport)
        except OSError as error:
            self.close()
            assert self._target.is_alive, f"the node ended after {sent[:2_000]}"
            raise AssertionError(f"no answer: {error!r} to {sent[:2_000]}") from None
        if transport == "batch" and (readable or isinstance(answer, list)):
            assert isinstance(answer, list), f"{answer!r:.300} to {sent[:2_000]}"
            assert len(answer) == 2, f"{len(answer)} answers to {sent[:2_000]}"
            answer = answer[1]
        self._findings.calls += 1
        if readable is None:
            readable = isinstance(answer, dict) and answer.get("id") is not None
        problem = self._problem(method, answer, readable=readable, fits=fits)
        assert problem is None, (
            f"{problem}\n  {transport}: {sent[:2_000]}\n  answer: {json.dumps(answer)[:1_000]}"
        )

    def _problem(self, method: Method, answer: Any, *, readable: bool, fits: bool) -> str | None:
        if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0":
            return "no JSON-RPC"
        if ("result" in answer) == ("error" in answer):
            return "neither or both of result and error"
        if answer.get("id") != (1 if readable else None):
            return "another id"
        if "result" in answer:
            self._count("ok")
            self._findings.answered.add(method.name)
            self._findings.accepted += method.name in SENDS
            reason = self._surface.schemas.why_not(answer["result"], method.result) if fits else None
            return f"not what the document says: {reason}" if reason else None
        error = answer["error"]
        code, message = error["code"], error["message"]
        self._count(str(code))
        if code not in CODES and code not in CODES_OF.get(method.name, ()):
            return f"the code {code}"
        if not readable and code != -32700:
            return f"{code} for what is no JSON"
        if not message or len(message) > MESSAGE_CHARS_MAX:
            return f"a message of {len(message)} characters"
        inside = [word for word in (*NOT_FOR_CALLERS, str(self._target.process.home)) if word in message]
        return f"shows {inside[0]!r}" if inside else None

    def _count(self, what: str) -> None:
        self._findings.codes[what] = self._findings.codes.get(what, 0) + 1

    def _send(self, body: str, transport: str) -> Any:
        encoded = body.encode(errors="surrogatepass")
        if transport != "websocket":
            if self._connection is not None and time.monotonic() - self._said_s > KEPT_S:
                self._connection.close()
                self._connection = None
            self._connection = self._connection or wire.connect(self._port)
            self._said_s = time.monotonic()
            self._connection.sendall(wire.head(len(encoded)) + encoded)
            reply = wire.read_reply(self._connection)
            assert reply.status == 200, f"HTTP status {reply.status}"
            return reply.json()
        if self._websocket is None or self._websocket_calls >= CALLS_OF_A_SOCKET:
            if self._websocket is not None:
                self._websocket.connection.close()
            self._websocket, self._websocket_calls = wire.open_websocket(self._port), 0
        self._websocket_calls += 1
        self._websocket.send(wire.TEXT, encoded)
        while True:
            answer = self._websocket.read()
            if not (isinstance(answer, dict) and answer.get("method") == "eth_subscription"):
                return answer


def fuzz(
    target: Target, surface: Surface, *, first_seed: int, examples: int, until: float | None = None
) -> Findings:
    """Call each method `examples` times with what fits and as often with what does not; over and over until the time is up."""
    findings = Findings()
    callers = {
        is_open: Caller(target, port, surface, findings)
        for is_open, port in ((False, target.private_port), (True, target.port))
    }
    quiet = settings(
        max_examples=examples, deadline=None, database=None, phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    failed: set[tuple[str, bool]] = set()
    run = 0
    with contextlib.closing(callers[False]), contextlib.closing(callers[True]):
        while True:
            for method in surface.methods:
                for fits in (True, False):
                    if (method.name, fits) in failed:
                        continue
                    try:
                        _one(
                            callers[method.is_open],
                            surface,
                            method,
                            quiet,
                            fits=fits,
                            number=first_seed + run,
                        )
                    except AssertionError as error:
                        failed.add((method.name, fits))
                        findings.faults.append(f"{method.name}, seed {first_seed + run}: {error}")
                    if until is not None and time.monotonic() > until:
                        return findings
            run += 1
            if until is None:
                return findings


def _one(
    caller: Caller, surface: Surface, method: Method, quiet: settings, *, fits: bool, number: int
) -> None:
    params = surface.valid(method) if fits else surface.mutated(method)

    @seed(number)
    @quiet
    @given(params, st.sampled_from(("http", "websocket", "batch")))
    def call(values: Any, transport: str) -> None:
        caller.check(method, values, transport, fits=fits)

    call()


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(
        prog="make fuzz-rpc", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--examples", type=int, default=50, help="of each method and kind in each round")
    parser.add_argument("--only", action="append", default=[], help="beginning of the names of methods")
    parser.add_argument("--report", type=Path, help="also write what was seen into this Markdown file")
    parser.add_argument("--commit", default="unknown", help="what the report says of the code")
    options = parser.parse_args(arguments)
    figures: dict[str, object] = {}
    with (
        tempfile.TemporaryDirectory(prefix="metanode-fuzz-rpc-") as path,
        running_target(Path(path), server=EVERYTHING) as target,
    ):
        surface = discover(target).only(options.only)
        print(f"{len(surface.methods)} methods, seed {options.seed}, {options.seconds:g} s", flush=True)
        with holding(target, record=figures.__setitem__, heavy_too=True) as bar:
            findings = fuzz(
                target,
                surface,
                first_seed=options.seed,
                examples=options.examples,
                until=time.monotonic() + options.seconds,
            )
    figures["p99 of good requests, ms"] = round(bar.p99_s() * 1e3, 1)
    print("\n".join(lines(findings, surface, figures)))
    for fault in findings.faults:
        print(f"- {fault}")
    if options.report:
        options.report.write_text(page(options, lines(findings, surface, figures)))
    is_slow = bar.p99_s() > P99_S_MAX * slowness()
    return 1 if findings.faults or is_slow else 0


def lines(findings: Findings, surface: Surface, figures: Mapping[str, object]) -> list[str]:
    """What was seen, as people read it."""
    silent = sorted({each.name for each in surface.methods} - findings.answered)
    codes = sorted(findings.codes.items(), key=lambda each: -each[1])
    return [
        f"methods    {len(surface.methods)}, {len(findings.answered)} of them with a result; without: {', '.join(silent) or 'none'}",
        f"calls      {findings.calls:,}",
        *(f"  {code:>8} {count:>9,}" for code, count in codes),
        f"accepted   {findings.accepted:,} transactions",
        f"faults     {len(findings.faults)}",
        "beside it  " + ", ".join(f"{name} {value}" for name, value in figures.items()),
    ]


def page(options: argparse.Namespace, seen: Sequence[str]) -> str:
    """The run as a page of `docs/evidence`."""
    only = "".join(f" --only {name}" for name in options.only)
    asked = f"--seconds {options.seconds:g} --seed {options.seed} --examples {options.examples}{only}"
    command = f"make fuzz-rpc REPORT=1 ARGS='{asked}'"
    table = "\n".join(seen)
    return f"""# Every method with good and bad parameters

Written by `{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d} at commit {options.commit}.

One validator that makes a block each second is asked over HTTP, over WebSocket and in batches. What it is asked is made from its own OpenRPC documents (`rpc_discover`
of the private and of the open port, with the namespace `testing` served): parameters that fit their schema, with hashes, accounts, transactions and filters that the chain has, and transactions that the pool takes; and
as many calls in which one to three things were changed or the JSON was broken. Each answer has to be well formed, with a documented code and never -32603, without a word of
the node's inside; what answers parameters that fit has to fit the document too. A call that breaks a rule is a fault.

```
{table}
```

The numbers are codes of errors, `ok` are results. The slowness is tasks that wanted a processor, by processors; bounds in seconds are multiplied with it. Beside the calls the
[bar of all bad inputs](bad-inputs.md) holds: good requests, every other one an `eth_call`, within a second and p99 below {P99_S_MAX * 1e3:g} ms, memory, blocks, log, secrets.
"""
