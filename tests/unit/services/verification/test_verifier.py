"""From a submission to a verified contract: real Vyper, a real database, both dialects and our own route over HTTP; the node is a fake with one contract."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from tests.unit.services.indexed_contracts import write_contracts

from metanode.errors import Unavailable
from sdk.testnet.services.api import ApiConfig, make_app
from sdk.testnet.services.api.reference import PROBLEMS
from sdk.testnet.services.queries.contracts import ContractRow, find_signatures, get_contract
from sdk.testnet.services.queries.statistics import totals
from sdk.testnet.services.store import Store
from sdk.testnet.services.verification import Verifier, find_compilers
from sdk.testnet.services.verification.compiling import run_compiler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

ADDRESS = b"\xcc" * 20
TEXT = "0x" + ADDRESS.hex()
CREATION = "0x" + "ab" * 32
SOURCE = """# pragma version 0.4.3
owner: public(immutable(address))
value: public(uint256)

@deploy
def __init__(first: uint256):
    owner = msg.sender
    self.value = first

@external
def add(amount: uint256):
    self.value += amount
"""
INPUT: dict[str, Any] = {
    "language": "Vyper",
    "sources": {"src/Adder.vy": {"content": SOURCE}},
    "settings": {},
}
VERSION = "0.4.3"


class OneContract:
    """A node with one contract, which a factory made."""

    def __init__(self, runtime: bytes, creation: bytes) -> None:
        self.runtime = runtime
        self.creation = creation
        self.is_down = False

    async def call(self, method: str, *params: Any) -> Any:
        if self.is_down:
            raise Unavailable("no node answers")
        if method == "eth_getCode":
            return f"0x{self.runtime.hex()}" if str(params[0]).lower() == TEXT else "0x"
        assert method == "debug_traceTransaction"
        made = {"type": "CREATE2", "to": TEXT, "input": f"0x{self.creation.hex()}"}
        return {"type": "CALL", "to": "0x" + "01" * 20, "input": "0x", "calls": [made]}


@pytest.fixture(scope="module")
def node() -> OneContract:
    """What the source compiles to, as it would be on a chain: immutables behind the code, arguments behind the creation code."""
    given = json.loads(json.dumps(INPUT))
    given["settings"]["outputSelection"] = {"*": ["evm.bytecode.object", "evm.deployedBytecode.object"]}
    output = asyncio.run(run_compiler(find_compilers().found[0], given))
    [made] = output["contracts"]["src/Adder.vy"].values()
    runtime, creation = (
        bytes.fromhex(made["evm"][kind]["object"][2:]) for kind in ("deployedBytecode", "bytecode")
    )
    return OneContract(runtime + bytes(12) + b"\xaa" * 20, creation + encode(["uint256"], [7]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(f"sqlite:///{tmp_path}/index.db")
    write_contracts(found, (ADDRESS, b"\xdd" * 20), chain_id=1337)
    yield found
    found.close()


class Client:
    """Asks the API."""

    def __init__(self, http: httpx.AsyncClient, verifying: asyncio.Task[None]) -> None:
        self.http = http
        self.verifying = verifying

    async def post(self, document: Any, address: str = TEXT, chain: str = "1337") -> httpx.Response:
        return await self.http.post(f"/v2/verify/{chain}/{address}", json=document)

    async def job(self, job_id: str) -> Any:
        """A job once it is finished."""
        async with asyncio.timeout(600):
            while not (found := (await self.http.get(f"/v2/verify/{job_id}")).json())["isJobCompleted"]:
                await asyncio.sleep(0.05)
        return found

    async def etherscan(self, **form: str) -> Any:
        return (await self.http.post("/api", data={"module": "contract", "apikey": "any", **form})).json()

    async def lookup(self, query: str = "") -> httpx.Response:
        return await self.http.get(f"/v2/contract/1337/{TEXT}{query}")


@asynccontextmanager
async def serving(
    store: Store, node: OneContract, *, explorer_url: str = "", verifier: Verifier | None = None
) -> AsyncIterator[Client]:
    config = ApiConfig(
        network_name="test", chain_id=1337, public_url="http://api.example", anonymous_a_minute=1_000_000,
        explorer_url=explorer_url,
    )  # fmt: skip
    verifier = verifier or Verifier(store=store, node=node, compilers=find_compilers(), poll_s=0.05)
    app = make_app(store=store, node=node, config=config, verifier=verifier)
    transport = httpx.ASGITransport(app=app)
    running = asyncio.create_task(verifier.run())
    async with httpx.AsyncClient(transport=transport, base_url="http://api.example", timeout=60) as http:
        try:
            yield Client(http, running)
        finally:
            running.cancel()
            await asyncio.wait([running])


def submission(**changes: Any) -> dict[str, Any]:
    return {
        "stdJsonInput": INPUT,
        "compilerVersion": VERSION,
        "contractIdentifier": "src/Adder.vy:Adder",
        "creationTransactionHash": CREATION,
    } | changes


def contract_of(store: Store) -> ContractRow:
    with store.look() as connection:
        found = get_contract(connection, ADDRESS)
    assert found is not None
    return found


async def test_sourcify_verifies_and_keeps_what_it_found(store: Store, node: OneContract) -> None:
    async with serving(store, node) as client:
        assert (await client.lookup()).status_code == 404
        accepted = await client.post(submission())
        assert accepted.status_code == 202, accepted.text
        job = await client.job(accepted.json()["verificationId"])
        assert "error" not in job, job
        assert (job["contract"]["match"], job["contract"]["runtimeMatch"], job["contract"]["creationMatch"]) == (
            "exact_match", "match", "exact_match",
        )  # fmt: skip

        found = (
            await client.lookup("?fields=sources,compilation,runtimeBytecode,creationBytecode,abi")
        ).json()
        again = await client.post(submission())
        listed = (await client.http.get("/v2/contracts/1337")).json()

    assert found["match"] == "exact_match"
    assert found["sources"]["src/Adder.vy"]["content"] == SOURCE
    assert found["compilation"]["fullyQualifiedName"] == "src/Adder.vy:Adder"
    assert found["runtimeBytecode"]["transformationValues"]["immutable"]["data"].endswith("aa" * 20)
    assert found["creationBytecode"]["transformationValues"]["constructorArguments"] == f"0x{7:064x}"
    assert {entry.get("name") for entry in found["abi"]} >= {"add", "value", "owner"}
    assert (again.status_code, again.json()["customCode"]) == (409, "already_verified")
    assert [one["address"].lower() for one in listed["results"]] == [TEXT]
    row = contract_of(store)
    assert row.constructor_arguments == encode(["uint256"], [7])
    with store.look() as connection:
        assert [one.text for one in find_signatures(connection, bytes.fromhex("1003e2d2"))] == [
            "add(uint256)"
        ]
        assert totals(connection).verified_contracts == 1


async def test_etherscans_dialect_verifies_in_the_words_of_tools(store: Store, node: OneContract) -> None:
    form = {
        "action": "verifysourcecode", "contractaddress": TEXT, "codeformat": "vyper-json", "sourceCode": json.dumps(INPUT),
        "contractname": "src/Adder.vy:Adder", "compilerversion": "vyper:0.4.3", "constructorArguements": "",
    }  # fmt: skip
    async with serving(store, node) as client:
        before = await client.etherscan(action="getabi", address=TEXT)
        sent = await client.etherscan(**form)
        assert sent["status"] == "1", sent
        said = set()
        async with asyncio.timeout(600):
            while "Pass - Verified" not in said:
                said.add((await client.etherscan(action="checkverifystatus", guid=sent["result"]))["result"])
                await asyncio.sleep(0.05)
        source = (await client.etherscan(action="getsourcecode", address=TEXT))["result"][0]
        abi = await client.etherscan(action="getabi", address=TEXT)
        # Nobody told the transaction, so that the match is not an exact one, and better sources may come.
        again = await client.etherscan(**form)
        async with asyncio.timeout(600):
            while (worse := await client.etherscan(action="checkverifystatus", guid=again["result"]))[
                "result"
            ] == "Pending in queue":
                await asyncio.sleep(0.05)

    assert (before["status"], before["result"]) == ("0", "Contract source code not verified")
    assert said <= {"Pending in queue", "Pass - Verified"}
    assert (source["ContractName"], source["CompilerVersion"]) == ("Adder", "vyper:0.4.3")
    assert json.loads(source["SourceCode"][1:-1])["sources"]["src/Adder.vy"]["content"] == SOURCE
    assert abi["status"] == "1"
    assert worse["result"] == "Already Verified"
    assert contract_of(store).match == "match"


async def test_an_exact_match_takes_the_place_of_a_match(store: Store, node: OneContract) -> None:
    async with serving(store, node) as client:
        first = await client.post(submission(creationTransactionHash=None))
        await client.job(first.json()["verificationId"])
        assert contract_of(store).match == "match"
        second = await client.post(submission())
        await client.job(second.json()["verificationId"])

    assert contract_of(store).match == "exact_match"
    with store.look() as connection:
        assert totals(connection).verified_contracts == 1


async def test_other_sources_are_no_match_and_say_how_far_they_are(store: Store, node: OneContract) -> None:
    changed = json.loads(json.dumps(INPUT))
    changed["sources"]["src/Adder.vy"]["content"] = SOURCE.replace("+= amount", "+= 2 * amount")
    async with serving(store, node) as client:
        accepted = await client.post(submission(stdJsonInput=changed))
        job = await client.job(accepted.json()["verificationId"])

    assert job["error"]["customCode"] == "no_match"
    assert "bytes of code" in job["error"]["message"]
    assert job["contract"]["match"] is None
    assert contract_of(store).match is None


async def test_sources_that_do_not_compile_are_answered_with_the_compilers_words(
    store: Store, node: OneContract
) -> None:
    broken = json.loads(json.dumps(INPUT))
    broken["sources"]["src/Adder.vy"]["content"] = "value: public(uint257)\n"
    async with serving(store, node) as client:
        accepted = await client.post(submission(stdJsonInput=broken))
        job = await client.job(accepted.json()["verificationId"])

    assert job["error"]["customCode"] == "compiler_error"
    assert "uint257" in job["error"]["message"]


async def test_a_node_that_is_down_fails_nothing_that_waits(store: Store, node: OneContract) -> None:
    """What was taken is in the database: another process does it when the node is back."""
    async with serving(store, node) as client:
        accepted = await client.post(submission())
    job_id = accepted.json()["verificationId"]

    async with serving(store, node) as client:
        job = await client.job(job_id)

    assert job["contract"]["match"] == "exact_match"


async def test_a_job_whose_compiler_fails_while_the_verifier_is_cancelled_is_given_back(
    store: Store, node: OneContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restart does it: neither has it failed, nor does the verifier go on."""
    compiling = asyncio.Event()

    async def fail_when_cancelled() -> None:
        compiling.set()
        try:
            await asyncio.Event().wait()
        finally:
            # As a pipe does that can't be closed any more.
            raise OSError("Bad file descriptor")

    async def run_group(*_: object) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail_when_cancelled())

    monkeypatch.setattr("sdk.testnet.services.verification.verifier.run_compiler", run_group)
    verifier = Verifier(store=store, node=node, compilers=find_compilers(), poll_s=0.05)
    async with asyncio.timeout(60), serving(store, node, verifier=verifier) as client:
        accepted = await client.post(submission())
        await compiling.wait()
        client.verifying.cancel()
        ended, _ = await asyncio.wait([client.verifying], timeout=5)
        assert ended
        job = (await client.http.get(f"/v2/verify/{accepted.json()['verificationId']}")).json()

    assert client.verifying.cancelled()
    assert not verifier.results
    assert (job["isJobCompleted"], "error" in job) == (False, False)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"compilerVersion": "0.3.9"}, 400, "unsupported_compiler_version"),
        ({"compilerVersion": "latest"}, 400, "unsupported_compiler_version"),
        ({"compilerVersion": None}, 400, "missing_parameter"),
        ({"contractIdentifier": "src/Other.vy:Other"}, 400, "invalid_parameter"),
        ({"stdJsonInput": {"language": "Yul"}}, 400, "unsupported_language"),
        ({"stdJsonInput": "text"}, 400, "invalid_parameter"),
        ({"creationTransactionHash": "0x12"}, 400, "invalid_parameter"),
    ],
)
async def test_a_wrong_submission_is_refused_in_sourcifys_form(
    store: Store, node: OneContract, changes: dict[str, Any], status: int, code: str
) -> None:
    async with serving(store, node) as client:
        refused = await client.post(submission(**changes))

    document = refused.json()
    assert (refused.status_code, document["customCode"]) == (status, code)
    assert set(document) == {"customCode", "message", "errorId"}


async def test_what_is_not_there_is_said(store: Store, node: OneContract) -> None:
    async with serving(store, node) as client:
        nowhere = await client.post(submission(), address="0x" + "ee" * 20)
        elsewhere = await client.post(submission(), chain="1")
        no_job = await client.http.get("/v2/verify/00000000-0000-4000-8000-000000000000")
        no_id = await client.http.get("/v2/verify/12")
        field = await client.lookup("?fields=nonsense")
        no_json = await client.http.post(f"/v2/verify/1337/{TEXT}", content=b"{")

    assert (nowhere.status_code, nowhere.json()["customCode"]) == (404, "contract_not_deployed")
    assert (elsewhere.status_code, elsewhere.json()["customCode"]) == (400, "unsupported_chain")
    assert (no_job.status_code, no_job.json()["customCode"]) == (404, "job_not_found")
    assert no_id.status_code == 400
    assert (field.status_code, field.json()["customCode"]) == (400, "field_not_found")
    assert (no_json.status_code, no_json.json()["customCode"]) == (400, "invalid_json")


async def test_an_account_that_delegates_is_not_verified(store: Store) -> None:
    delegating = OneContract(bytes.fromhex("ef0100") + b"\x01" * 20, b"")
    async with serving(store, delegating) as client:
        accepted = await client.post(submission())
        job = await client.job(accepted.json()["verificationId"])

    assert job["error"]["customCode"] == "contract_not_deployed"
    assert "EIP-7702" in job["error"]["message"]


VERIFICATIONS = f"/api/v1/contracts/{TEXT}/verifications"
OWN = {"standard_json": INPUT, "compiler_version": VERSION, "contract": "src/Adder.vy:Adder"}


async def test_our_own_route_verifies_and_shows_the_sources(store: Store, node: OneContract) -> None:
    async with serving(store, node) as client:
        nobody = await client.http.get(f"/api/v1/contracts/{TEXT}/source")
        sent = await client.http.post(VERIFICATIONS, json=OWN | {"creation_transaction": CREATION})
        assert sent.status_code == 202, sent.text
        assert sent.headers["cache-control"] == "private, no-store"
        async with asyncio.timeout(600):
            while not (job := (await client.http.get(sent.headers["location"])).json())["is_finished"]:
                await asyncio.sleep(0.05)
        source = (await client.http.get(f"/api/v1/contracts/{TEXT}/source")).json()
        again = await client.http.post(VERIFICATIONS, json=OWN)

    assert nobody.status_code == 404
    assert sent.json()["state"] in {"queued", "running"}
    assert job["id"] == sent.json()["id"]
    assert (job["state"], job["match"], job["runtime_match"], job["creation_match"], job["error"]) == (
        "verified", "exact_match", "match", "exact_match", None,
    )  # fmt: skip
    assert source["standard_json"]["sources"] == INPUT["sources"]
    assert (source["match"], source["verified_name"], source["language"]) == ("exact_match", "Adder", "Vyper")
    assert bytes.fromhex(source["constructor_arguments"][2:]) == encode(["uint256"], [7])
    assert (again.status_code, again.json()["code"]) == (409, "already_verified")


async def test_our_own_route_says_why_sources_are_not_a_contract_s(store: Store, node: OneContract) -> None:
    broken = json.loads(json.dumps(OWN))
    broken["standard_json"]["sources"]["src/Adder.vy"]["content"] = "value: public(uint257)\n"
    async with serving(store, node) as client:
        sent = await client.http.post(VERIFICATIONS, json=broken)
        job = await client.job(sent.json()["id"])
        own = (await client.http.get(f"/api/v1/verifications/{job['verificationId']}")).json()

    assert own["state"] == "failed"
    assert own["error"]["code"] == "compiler_error"
    assert "uint257" in own["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "status", "code", "words"),
    [
        ({"compiler_version": "0.3.9"}, 400, "unsupported_compiler_version", "0.3.9"),
        ({"compiler_version": "latest"}, 400, "unsupported_compiler_version", "compiler_version"),
        ({"contract": "src/Other.vy:Other"}, 422, "invalid_parameter", "contract: the sources have no file"),
        ({"standard_json": {"language": "Yul"}}, 400, "unsupported_language", "standard_json.language"),
        ({"standard_json": []}, 422, "invalid_parameter", "/body/standard_json"),
        ({"creation_transaction": "0x12"}, 422, "invalid_parameter", "/body/creation_transaction"),
        ({"surprise": 1}, 422, "invalid_parameter", "/body/surprise"),
    ],
)
async def test_a_wrong_submission_is_a_problem_that_names_the_field(
    store: Store, node: OneContract, changes: dict[str, Any], status: int, code: str, words: str
) -> None:
    async with serving(store, node) as client:
        refused = await client.http.post(VERIFICATIONS, json=OWN | changes)

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (status, code)
    assert words in problem["detail"]
    assert code in PROBLEMS


async def test_our_own_route_says_what_is_not_there(store: Store, node: OneContract) -> None:
    nowhere = VERIFICATIONS.replace(TEXT, "0x" + "ee" * 20)
    async with serving(store, node) as client:
        no_code = await client.http.post(nowhere, json=OWN)
        no_json = await client.http.post(VERIFICATIONS, content=b"{")
        no_job = await client.http.get("/api/v1/verifications/00000000-0000-4000-8000-000000000000")
        no_id = await client.http.get("/api/v1/verifications/12")
        long = await client.http.post(VERIFICATIONS, content=b" " * (16 * 1024 * 1024 + 1))
        # Two of the same at once: the second one waits for nothing new.
        first, second = [await client.http.post(VERIFICATIONS, json=OWN) for _ in range(2)]

    assert (no_code.status_code, no_code.json()["code"]) == (404, "contract_not_deployed")
    assert (no_json.status_code, no_json.json()["code"]) == (422, "invalid_parameter")
    assert (no_job.status_code, no_id.status_code, long.status_code) == (404, 422, 413)
    assert (first.status_code, second.status_code) == (202, 429)
    assert second.json()["code"] == "duplicate_verification_request"
    assert int(second.headers["retry-after"]) == second.json()["retry_after"]


async def test_where_tools_send_people_there_is_a_page(store: Store, node: OneContract) -> None:
    async with serving(store, node, explorer_url="http://explorer.example") as client:
        contract, same, job = [
            (await client.http.get(path)).headers["location"]
            for path in (
                f"/repo-ui/1337/{TEXT}", f"/address/{TEXT}", "/verify-ui/jobs/00000000-0000-4000-8000-000000000000",
            )
        ]  # fmt: skip
        elsewhere = await client.http.get(f"/repo-ui/1/{TEXT}")
    async with serving(store, node) as client:
        alone = await client.http.get(f"/repo-ui/1337/{TEXT}")

    assert contract.lower() == f"http://explorer.example/address/{TEXT}/contract"
    assert same == contract
    assert elsewhere.status_code == 400
    assert job == "http://explorer.example/verification/00000000-0000-4000-8000-000000000000"
    assert alone.headers["location"].startswith("/v2/contract/1337/0x")
