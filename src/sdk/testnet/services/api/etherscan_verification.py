"""Verification in Etherscan's dialect, in the words that Foundry and Hardhat look for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.queries import contracts
from sdk.testnet.services.store.meanings import VerificationState
from sdk.testnet.services.verification.jobs import get_job
from sdk.testnet.services.verification.submissions import (
    Rejected,
    Submission,
    read_text,
    wrap_single_file,
)
from sdk.testnet.services.verification.taking import take_submission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from sdk.testnet.services.api.parts import Parts
    from sdk.testnet.services.queries.contracts import ContractRow

ALREADY: Final = "Contract source code already verified"
PENDING: Final = "Pending in queue"
PASSED: Final = "Pass - Verified"
FAILED: Final = "Fail - Unable to verify"
NO_CODE: Final = "Unable to locate ContractCode at"
NOT_VERIFIED: Final = "Contract source code not verified"
RUNS_MAX: Final = 2**32 - 1
"""What solc's setting holds."""
FORMATS: Final = ("solidity-standard-json-input", "solidity-single-file", "vyper-json", "vyper-single-file")


class Refused(Exception):  # noqa: N818 - it is an answer
    """What is answered with status 0: the message, and a result that says why."""

    def __init__(self, result: Any, message: str = "NOTOK") -> None:
        super().__init__(message)
        self.result = result
        self.message = message


async def verify_source_code(parts: Parts, given: Mapping[str, str], *, requester: str) -> str:
    """Queue what is sent in, and return its id; raises Refused."""
    if parts.verifier is None:
        raise Refused("Error! contracts are not verified here")
    try:
        address = parse_address(given.get("contractaddress", given.get("contractAddress", "")))
    except InvalidInput:
        raise Refused("Error! Invalid address format") from None
    try:
        submission = await run_in_threadpool(_read, given)
    except Rejected as refusal:
        raise Refused(f"Error! {refusal}"[:400]) from None
    try:
        return await take_submission(
            submission,
            address,
            verifier=parts.verifier,
            store=parts.store,
            node=parts.node,
            requester=requester,
        )
    except JSONRPCError as refusal:
        raise Refused(f"Error! {refusal.message}"[:400]) from None
    except Rejected as refusal:
        # Tools ask again some times where there is no code: they come right after the deployment.
        words = {"already_verified": ALREADY, "contract_not_deployed": f"{NO_CODE} 0x{address.hex()}"}
        raise Refused(words.get(refusal.code, f"Error! {refusal}"[:400])) from None


def check_verify_status(connection: Connection, given: Mapping[str, str]) -> str:
    """Answer `checkverifystatus`: its result when the contract is verified, Refused otherwise."""
    job = get_job(connection, given.get("guid", "")[:64])
    if job is None:
        raise Refused("Error! guid: no such verification")
    if not job.is_finished:
        raise Refused(PENDING)
    if job.state is VerificationState.VERIFIED:
        return PASSED
    if job.error_code == "already_verified":
        raise Refused("Already Verified")
    raise Refused(f"{FAILED}. {job.error_message or ''}"[:1_000])


def source_code_document(row: ContractRow | None, twin: ContractRow | None) -> dict[str, str]:
    """Return what `getsourcecode` says of one contract; of one with the same code as another, that one's sources."""
    known = row if row is not None and row.abi is not None else twin
    found = {
        "SourceCode": "",
        "ABI": NOT_VERIFIED,
        "ContractName": "",
        "CompilerVersion": "",
        "CompilerType": "",
        "OptimizationUsed": "",
        "Runs": "",
        "ConstructorArguments": "",
        "EVMVersion": "Default",
        "Library": "",
        "ContractFileName": "",
        "LicenseType": "",
        "Proxy": "0",
        "Implementation": "",
        "SwarmSource": "",
        "SimilarMatch": "",
    }
    if known is None or known.abi is None:
        return found
    settings = _settings(known.standard_json)
    optimizer = settings.get("optimizer") or {}
    is_vyper = known.language == "Vyper"
    found |= {
        # The second pair of braces tells a standard JSON input from a single file.
        "SourceCode": f"{{{known.standard_json or '{}'}}}",
        "ABI": known.abi,
        "ContractName": known.verified_name or "",
        "CompilerVersion": f"vyper:{known.compiler_version}" if is_vyper else f"v{known.compiler_version}",
        "CompilerType": "vyper-json" if is_vyper else "solc-j",
        "OptimizationUsed": "1" if is_vyper or optimizer.get("enabled") else "0",
        "Runs": str(optimizer.get("runs", 200)),
        "EVMVersion": str(settings.get("evmVersion") or "Default"),
        "Library": _libraries(settings.get("libraries")),
        "ContractFileName": known.source_path or "",
    }
    if known is row:
        found["ConstructorArguments"] = row.constructor_arguments.hex() if row.constructor_arguments else ""
    else:
        found["SimilarMatch"] = f"0x{known.contract.address.hex()}"
    return found


def known_source(connection: Connection, address: bytes) -> tuple[ContractRow | None, ContractRow | None]:
    """Return a contract, and if it is not verified a verified one with the same code."""
    row = contracts.get_contract(connection, address, with_sources=True)
    if row is not None and row.abi is None:
        return row, contracts.verified_twin(connection, row.code_hash, with_sources=True)
    return row, None


def _read(given: Mapping[str, str]) -> Submission:
    """Read a form; raises Rejected."""
    kind = given.get("codeformat", FORMATS[0])
    if kind not in FORMATS:
        raise Rejected(f"codeformat: found {kind[:40]!r}; expected one of {', '.join(FORMATS)}")
    source, version = given.get("sourceCode", ""), given.get("compilerversion", "")
    contract = given.get("contractname", "")
    if not source:
        raise Rejected("sourceCode: missing")
    if kind in {"solidity-standard-json-input", "vyper-json"}:
        return read_text(source, compiler_version=version, contract=contract)
    return wrap_single_file(
        source,
        language="Vyper" if kind.startswith("vyper") else "Solidity",
        compiler_version=version,
        contract=contract,
        is_optimized=given.get("optimizationUsed", "0") == "1",
        runs=_runs(given.get("runs", "")),
        evm_version=given.get("evmversion", given.get("evmVersion", "")),
        libraries={
            given[f"libraryname{place}"]: given.get(f"libraryaddress{place}", "")
            for place in range(1, 11)
            if given.get(f"libraryname{place}")
        },
    )


def _runs(text: str) -> int:
    if not text:
        return 200
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > RUNS_MAX:
        raise Rejected(f"runs: found {text[:40]!r}; expected 0 to {RUNS_MAX}")
    return int(text)


def _settings(standard_json: str | None) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(standard_json or "{}").get("settings") or {}
    except ValueError:
        return {}
    return found


def _libraries(given: Any) -> str:
    if not isinstance(given, dict):
        return ""
    return ";".join(
        f"{name}:{address}"
        for libraries in given.values()
        if isinstance(libraries, dict)
        for name, address in libraries.items()
    )
