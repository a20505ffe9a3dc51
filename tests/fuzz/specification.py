"""The executable specification of Ethereum (EELS) as a process: one JSON request a line in, one answer a line out.

Runs under the Python of the specification's own environment; nothing of ours is imported. The specification's functions run as they are.
Only its loop over a block's transactions is given another inside: what it refuses is noted and left out, so that one block tells of many.
"""

import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from types import ModuleType
from typing import Any

from ethereum import trace
from ethereum.crypto.hash import keccak256
from ethereum.exceptions import EthereumException
from ethereum_rlp import rlp
from ethereum_rlp.exceptions import RLPException
from ethereum_types.bytes import Bytes, Bytes8, Bytes20, Bytes32, Bytes256
from ethereum_types.numeric import U64, U256, Uint

EMPTY_ROOT = keccak256(rlp.encode(b""))
EMPTY_OMMERS = keccak256(rlp.encode([]))
INVALID = 0xFE
MODULES = {"EIP150": "tangerine_whistle", "EIP158": "spurious_dragon", "ConstantinopleFix": "constantinople"}
"""Where the specification has another name for a fork than the official tests; others are in lower case."""
EMPTY_REQUESTS = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
FAULTS = (EthereumException, RLPException)
"""What the specification raises over bad input; anything else is a mistake of this program, and ends it."""


class WrongChainError(EthereumException):
    """A typed transaction is signed for another chain."""


class Chain:
    """A chain under the rules of one fork."""

    def __init__(self, request: dict[str, Any]) -> None:
        package = f"ethereum.forks.{MODULES.get(request['fork'], request['fork'].lower())}"
        self._fork = importlib.import_module(f"{package}.fork")
        self._state_module = importlib.import_module(f"{package}.state")
        self._blocks = importlib.import_module(f"{package}.blocks")
        self._types = importlib.import_module(f"{package}.fork_types")
        self._trie = importlib.import_module(f"{package}.trie")
        self._chain_id = U64(request["chain_id"])
        self._state = self._allocated(request["accounts"])
        self._headers: list[Any] = []

    def begin(self, genesis: dict[str, Any]) -> bytes:
        """Begin a chain; returns the hash of its genesis."""
        self._headers = [self._genesis(genesis)]
        return bytes(keccak256(rlp.encode(self._headers[-1])))

    def run(self, wanted: dict[str, Any], running: "Running") -> dict[str, Any]:
        """Run transactions on the state, in surroundings that are given whole."""
        header = self._empty_header() | {
            "coinbase": Bytes20(bytes.fromhex(wanted["coinbase"])),
            "number": Uint(wanted["number"]),
            "difficulty": Uint(wanted["difficulty"]),
            "gas_limit": Uint(wanted["gas_limit"]),
            "timestamp": U256(wanted["timestamp"]),
            "prev_randao": Bytes32(bytes.fromhex(wanted["prev_randao"])),
            "base_fee_per_gas": Uint(wanted["base_fee"]),
            "excess_blob_gas": U64(wanted["excess_blob_gas"]),
        }
        hashes = [Bytes32(bytes.fromhex(each)) for each in wanted["block_hashes"]]
        environment, output = self._surroundings(header, hashes), self._fork.vm.BlockOutput()
        running.inside(self._fork)
        for raw in wanted["transactions"]:
            running.attempt(environment, output, bytes.fromhex(raw), None)
        return {
            "verdicts": running.verdicts,
            "state_root": bytes(self._state_module.state_root(self._state)).hex(),
            "receipts_root": bytes(self._trie.root(output.receipts_trie)).hex(),
            "logs_bloom": bytes(self._fork.logs_bloom(output.block_logs)).hex(),
            "gas_used": int(output.block_gas_used),
        }

    def add_block(self, wanted: dict[str, Any], running: "Running") -> dict[str, Any]:
        """Make the next block out of the transactions that may be in it; what is wrong with the block as a whole is its `error`."""
        header = self._child(wanted)
        withdrawals = tuple(
            self._blocks.Withdrawal(U64(i), U64(v), Bytes20(bytes.fromhex(a)), U256(n))
            for i, v, a, n in wanted["withdrawals"]
        )
        environment = self._environment(header)
        raws = tuple(bytes.fromhex(raw) for raw in wanted["transactions"])
        with_verdicts = running.inside(self._fork)
        error = None
        try:
            output = self._fork.apply_body(environment, raws, withdrawals)
        except FAULTS as fault:
            error, output = type(fault).__name__, None
        answer: dict[str, Any] = {
            "error": error,
            "verdicts": with_verdicts.verdicts,
            "requests": [],
            "receipts": "",
        }
        if output is not None:
            self._complete(header, output)
            answer["requests"] = [bytes(request).hex() for request in getattr(output, "requests", [])]
            receipts = [self._trie.trie_get(output.receipts_trie, key) for key in output.receipt_keys]
            answer["receipts"] = bytes(rlp.encode(receipts)).hex()
            answer["gas_used"] = int(output.block_gas_used)
        # A block that is wrong as a whole has these two roots all the same, so that it is refused for what is wrong with it.
        header["transactions_root"] = self._root(with_verdicts.accepted)
        header["withdrawals_root"] = self._root([rlp.encode(withdrawal) for withdrawal in withdrawals])
        block = self._blocks.Block(self._made(header), tuple(with_verdicts.accepted), (), withdrawals)
        self._headers.append(block.header)
        answer["block"] = bytes(rlp.encode(block)).hex()
        return answer

    def _allocated(self, accounts: list[dict[str, Any]]) -> Any:
        module, state = self._state_module, self._state_module.State()
        for account in accounts:
            address = Bytes20(bytes.fromhex(account["address"]))
            nonce, balance, code = (
                Uint(account["nonce"]),
                U256(account["balance"]),
                Bytes(bytes.fromhex(account["code"])),
            )
            module.set_account(state, address, self._types.Account(nonce=nonce, balance=balance, code=code))
            for slot, value in account["storage"]:
                module.set_storage(state, address, Bytes32(slot.to_bytes(32, "big")), U256(value))
        return state

    def _genesis(self, genesis: dict[str, Any]) -> Any:
        content = self._empty_header()
        content |= {
            "state_root": self._state_module.state_root(self._state),
            "gas_limit": Uint(genesis["gas_limit"]),
            "timestamp": U256(genesis["timestamp"]),
            "base_fee_per_gas": Uint(genesis["base_fee"]),
            "excess_blob_gas": U64(genesis["excess_blob_gas"]),
        }
        return self._made(content)

    def _empty_header(self) -> dict[str, Any]:
        zero = Bytes32(bytes(32))
        return {
            "parent_hash": zero, "ommers_hash": EMPTY_OMMERS, "coinbase": Bytes20(bytes(20)), "state_root": EMPTY_ROOT,
            "transactions_root": EMPTY_ROOT, "receipt_root": EMPTY_ROOT, "bloom": Bytes256(bytes(256)), "difficulty": Uint(0),
            "number": Uint(0), "gas_limit": Uint(0), "gas_used": Uint(0), "timestamp": U256(0), "extra_data": b"", "prev_randao": zero,
            "nonce": Bytes8(bytes(8)), "base_fee_per_gas": Uint(0), "withdrawals_root": EMPTY_ROOT, "blob_gas_used": U64(0),
            "excess_blob_gas": U64(0), "parent_beacon_block_root": zero, "requests_hash": Bytes32(EMPTY_REQUESTS),
        }  # fmt: skip

    def _made(self, content: dict[str, Any]) -> Any:
        """A header of the fields that the fork has."""
        kind = self._blocks.Header
        return kind(**{field.name: content[field.name] for field in fields(kind)})

    def _child(self, wanted: dict[str, Any]) -> dict[str, Any]:
        parent = self._headers[-1]
        content = self._empty_header()
        gas_limit = Uint(wanted["gas_limit"])
        content |= {
            "parent_hash": keccak256(rlp.encode(parent)),
            "coinbase": Bytes20(bytes.fromhex(wanted["coinbase"])),
            "number": parent.number + Uint(1),
            "gas_limit": gas_limit,
            "timestamp": U256(wanted["timestamp"]),
            "extra_data": bytes.fromhex(wanted["extra_data"]),
            "prev_randao": Bytes32(bytes.fromhex(wanted["prev_randao"])),
            "parent_beacon_block_root": Bytes32(bytes.fromhex(wanted["beacon_root"])),
            "base_fee_per_gas": self._fork.calculate_base_fee_per_gas(
                gas_limit, parent.gas_limit, parent.gas_used, parent.base_fee_per_gas
            ),
        }
        if hasattr(self._fork, "calculate_excess_blob_gas"):
            content["excess_blob_gas"] = self._fork.calculate_excess_blob_gas(parent)
        return content

    def _environment(self, header: dict[str, Any]) -> Any:
        hashes = [header.parent_hash for header in self._headers[1:][-255:]] + [
            keccak256(rlp.encode(self._headers[-1]))
        ]
        return self._surroundings(header, hashes)

    def _surroundings(self, header: dict[str, Any], hashes: list[Any]) -> Any:
        known = {
            "chain_id": self._chain_id, "state": self._state, "block_gas_limit": header["gas_limit"], "block_hashes": hashes,
            "coinbase": header["coinbase"], "number": header["number"], "base_fee_per_gas": header["base_fee_per_gas"],
            "time": header["timestamp"], "prev_randao": header["prev_randao"], "excess_blob_gas": header["excess_blob_gas"],
            "parent_beacon_block_root": header["parent_beacon_block_root"], "difficulty": header["difficulty"],
        }  # fmt: skip
        kind = self._fork.vm.BlockEnvironment
        return kind(**{field.name: known[field.name] for field in fields(kind)})

    def _root(self, items: list[Any]) -> Any:
        trie = self._trie.Trie(secured=False, default=None)
        for index, item in enumerate(items):
            self._trie.trie_set(trie, rlp.encode(Uint(index)), item)
        return self._trie.root(trie)

    def _complete(self, header: dict[str, Any], output: Any) -> None:
        header |= {
            "state_root": self._state_module.state_root(self._state),
            "receipt_root": self._trie.root(output.receipts_trie),
            "bloom": self._fork.logs_bloom(output.block_logs),
            "gas_used": output.block_gas_used,
        }
        if hasattr(output, "blob_gas_used"):
            header["blob_gas_used"] = output.blob_gas_used
        if hasattr(output, "requests"):
            header["requests_hash"] = self._fork.compute_requests_hash(output.requests)


class Running:
    """Stands in for the inside of the specification's loop over a block's transactions."""

    def __init__(self) -> None:
        self.verdicts: list[str | None] = []
        """For each transaction what was raised over it, or None."""
        self.accepted: list[Any] = []
        """As the block's RLP has them: legacy ones decoded, others as bytes."""
        self._originals: dict[ModuleType, tuple[Any, Any]] = {}

    def inside(self, fork: ModuleType) -> "Running":
        """Begin a block under the rules of `fork`."""
        if fork not in self._originals:
            # Before Berlin there is one type, and nothing to choose.
            decode = getattr(fork, "decode_transaction", lambda item: item)
            self._originals[fork] = (decode, fork.process_transaction)
        self._decode, self._process = self._originals[fork]
        self._legacy = getattr(fork, "LegacyTransaction", fork.Transaction)
        self._is_only_type = self._legacy is fork.Transaction
        self.verdicts, self.accepted = [], []
        fork.decode_transaction = lambda raw: raw
        fork.process_transaction = self.attempt
        return self

    def attempt(self, environment: Any, output: Any, raw: bytes, index: object) -> None:
        """Run a transaction, if it may be run, and note what came of it."""
        del index  # of all that were tried; the block counts those that are in it
        try:
            is_list = raw[:1] >= b"\xc0" or self._is_only_type
            item = rlp.decode_to(self._legacy, raw) if is_list else raw
            transaction = self._decode(item)
            if getattr(transaction, "chain_id", environment.chain_id) != environment.chain_id:
                # EIP-155, EIP-2930, EIP-1559, EIP-7702; this release of the specification checks it for legacy transactions only.
                raise WrongChainError
            self._process(environment, output, transaction, Uint(len(self.accepted)))
        except FAULTS as fault:
            self.verdicts.append(type(fault).__name__)
        else:
            self.verdicts.append(None)
            self.accepted.append(item)


class Coverage:
    """Counts the instructions that ran to their end, and the precompiles that were called."""

    def __init__(self) -> None:
        self.operations: Counter[int] = Counter()
        self.precompiles: Counter[int] = Counter()

    def __call__(self, evm: Any, event: object) -> None:
        if isinstance(event, trace.OpStart):
            code = event.op.value if hasattr(event.op, "value") else int(event.op)
            self.operations[code] += 1
        elif isinstance(event, trace.PrecompileStart):
            self.precompiles[int.from_bytes(event.address, "big")] += 1
        elif isinstance(event, trace.OpException):
            # It did not end; what did not is the instruction at the program counter.
            code = evm.code[int(evm.pc)] if int(evm.pc) < len(evm.code) else 0
            match type(event.error).__name__:
                case "Revert":
                    return  # ends by raising
                case "InvalidOpcode":
                    self.operations[INVALID] += 1  # which, like all that is undefined, never begins
                    return
                case _:
                    pass
            if self.operations[code]:
                self.operations[code] -= 1


def answers(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Run each request."""
    running = Running()
    for line in lines:
        request = json.loads(line)
        coverage = Coverage()
        trace.set_evm_trace(coverage)
        chain = Chain(request)
        answer: dict[str, Any]
        if "transition" in request:
            answer = chain.run(request["transition"], running)
        else:
            answer = {"genesis": chain.begin(request["genesis"]).hex(), "blocks": []}
            for wanted in request["blocks"]:
                answer["blocks"].append(chain.add_block(wanted, running))
                if answer["blocks"][-1]["error"] is not None:
                    break
        answer["operations"] = dict(coverage.operations)
        answer["precompiles"] = dict(coverage.precompiles)
        yield answer


def main() -> None:
    """Answer until the input ends."""
    for answer in answers(iter(sys.stdin.readline, "")):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
