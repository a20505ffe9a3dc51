"""Compare our answers of debug_trace* with go-ethereum's, on one chain: python tools/compare_traces.py GETH [--record FILE].

The example trace_cases of the engine makes the chain and our answers; GETH, a binary of go-ethereum, imports the chain and
answers the same requests on a port of loopback. Every difference is printed. With --record its answers are written as the
test of the engine reads them: xz over lines of a name, a tab and the answer's text (rust/engine/testdata).
"""

import argparse
import itertools
import json
import lzma
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_S = 30.0
ANSWER_S = 60.0
SHOWN_PER_CASE = 5


def main() -> int:
    """Make the chain, ask both, print what differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("geth", type=Path)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="metanode-traces-") as name:
        folder = Path(name)
        command = ["cargo", "run", "--locked", "-q", "-p", "engine", "--example", "trace_cases", "--", name]
        subprocess.run(command, cwd=ROOT, check=True)
        cases = json.loads((folder / "cases.json").read_text())
        with geth_on(arguments.geth, folder) as url:
            texts = [ask(url, case["method"], case["params"]) for case in cases]
    different = 0
    for case, text in zip(cases, texts, strict=True):
        found = list(
            itertools.islice(differences("", json.loads(f"{{{text}}}"), case["answer"]), SHOWN_PER_CASE)
        )
        if found:
            different += 1
            print(case["name"], *found, sep="\n    ")
    print(f"{different} of {len(cases)} answers differ")
    if arguments.record is not None:
        lines = "".join(f"{case['name']}\t{text}\n" for case, text in zip(cases, texts, strict=True))
        arguments.record.write_bytes(lzma.compress(lines.encode(), preset=9 | lzma.PRESET_EXTREME))
    return int(different > 0)


@contextmanager
def geth_on(geth: Path, folder: Path) -> Iterator[str]:
    """Import the chain, serve it, and stop the process in the end."""
    data = ["--datadir", str(folder / "geth"), "--verbosity", "1"]
    subprocess.run([geth, *data, "init", folder / "genesis.json"], check=True, capture_output=True)
    subprocess.run([geth, *data, "import", folder / "chain.rlp"], check=True, capture_output=True)
    port, engine_port = free_ports(2)
    command = [
        str(geth),
        *data,
        "--nodiscover",
        "--maxpeers",
        "0",
        "--port",
        "0",
        "--ipcdisable",
        "--authrpc.port",
        str(engine_port),
    ]
    command += ["--http", "--http.addr", "127.0.0.1", "--http.port", str(port), "--http.api", "eth,debug"]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + START_S
        while True:
            try:
                ask(url, "eth_chainId", [])
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def ask(url: str, method: str, params: list[Any]) -> str:
    """The answer's text without its frame: `"result":...` or `"error":...`."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 - a URL of ours
    with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - the same
        text: str = answer.read().decode().strip()
    frame = '{"jsonrpc":"2.0","id":1,'
    assert text.startswith(frame), text[:100]
    return text.removeprefix(frame).removesuffix("}")


def differences(path: str, theirs: Any, ours: Any) -> Iterator[str]:
    """Each place where the two part, fields in another order included."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from differences(f"{path}.{key}", theirs.get(key, "nothing"), ours.get(key, "nothing"))
        if list(theirs) != list(ours) and theirs.keys() == ours.keys():
            yield f"{path}: theirs in the order {list(theirs)}, ours {list(ours)}"
    elif isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            yield f"{path}: theirs has {len(theirs)} entries, ours {len(ours)}"
        for index, (one, other) in enumerate(zip(theirs, ours, strict=False)):
            yield from differences(f"{path}[{index}]", one, other)
    elif theirs != ours:
        yield f"{path}: theirs {str(theirs)[:200]}, ours {str(ours)[:200]}"


if __name__ == "__main__":
    sys.exit(main())
