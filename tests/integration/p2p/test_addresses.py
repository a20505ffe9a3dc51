"""Addresses without an id, names that do not resolve, and ids that change."""

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from metanode.crypto.hashing import keccak256
from metanode.p2p.enode import NodeId, parse_enode
from metanode.p2p.errors import PeerUnavailable
from metanode.p2p.rlpx.handshake import NodeKey


def without_id(enode: str, host: str = "127.0.0.1") -> str:
    return f"enode://{host}:{parse_enode(enode).tcp_port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_id_is_learned_at_first_contact_pinned_and_logged(run, until, host: str) -> None:
    async def test(networks) -> None:
        with capture_logs() as logs:
            a = await networks.start("a")
            b = await networks.start("b", peers=(parse_enode(without_id(a.enode, host)),))
            await until(b.network.peers)
        address = f"{host}:{a.network.enode.tcp_port}"
        assert b.store.pins == {address: a.key.node_id}
        [pinned] = [entry for entry in logs if entry["event"] == "peer_pinned"]
        assert (pinned["address"], pinned["node_id"]) == (address, a.key.node_id.hex())
        assert b.network.peers()[0].is_static

    run(test)


def test_a_node_with_another_key_at_a_pinned_address_is_refused_until_the_pin_is_forgotten(
    run, until
) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        b = await networks.start("b", peers=(parse_enode(without_id(a.enode)),))
        await until(b.network.peers)
        address = a.network.enode.address
        await a.stop()
        with capture_logs() as logs:
            port = a.network.enode.tcp_port
            impostor = await networks.start("impostor", listen_port=port)
            await until(lambda: any(entry["event"] == "peer_pin_mismatch" for entry in logs))
        assert b.network.peers() == []
        [mismatch] = [entry for entry in logs if entry["event"] == "peer_pin_mismatch"]
        assert mismatch["log_level"] == "error"
        assert f"forget-pin {address}" in mismatch["error"]
        assert impostor.key.node_id.hex() in mismatch["error"]
        del b.store.pins[address]
        await until(b.network.peers)
        assert b.network.peers()[0].node_id == impostor.key.node_id

    run(test)


def test_an_address_with_an_id_accepts_no_other_node(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        wrong = NodeId(NodeKey(keccak256(b"somebody else")).node_id)
        text = f"enode://{wrong.hex()}@127.0.0.1:{a.network.enode.tcp_port}"
        b = await networks.start("b", peers=(parse_enode(text),))
        await until(lambda: b.network.statistics().dials_failed >= 2)
        assert b.network.peers() == []
        assert a.handlers.ready == []

    run(test)


def test_our_own_address_in_the_list_of_peers_is_found_out_and_left_alone(run, until) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        a.network.add_peer(parse_enode(without_id(a.enode)))
        assert not a.network.add_peer(parse_enode(a.enode))
        tasks = a.network._target_tasks
        await until(lambda: tasks and all(task.done() for task in tasks.values()))
        assert a.store.pins == {}
        assert a.network.statistics().dials_failed == 0

    run(test)


def test_a_host_that_does_not_resolve_is_retried_logged_and_never_fatal(run, until, monkeypatch) -> None:
    async def test(networks) -> None:
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo
        is_known = False
        asked = 0

        async def getaddrinfo(host: str, port: object, **kwargs) -> list:
            nonlocal asked
            if host == "validator-1.test":
                asked += 1
                if not is_known:
                    raise socket.gaierror(-2, "Name or service not known")
                return await real("127.0.0.1", port, **kwargs)
            return await real(host, port, **kwargs)

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        with capture_logs() as logs:
            a = await networks.start("a")
            b = await networks.start("b", peers=(parse_enode(without_id(a.enode, "validator-1.test")),))
            await until(lambda: asked >= 4, "it is tried again and again")
            assert b.task is not None
            assert not b.task.done()
            is_known = True
            await until(b.network.peers)
        failures = [entry for entry in logs if entry["event"] == "peer_dial_failed"]
        assert len([f for f in failures if "does not resolve" in f["error"]]) == 1, (
            "the same failure is logged once"
        )
        assert "'validator-1.test' does not resolve" in failures[0]["error"]

    run(test)


def test_an_address_of_another_family_is_no_answer_and_no_failure(run, monkeypatch) -> None:
    async def test(networks) -> None:
        monkeypatch.setattr("metanode.p2p.discv4.service._IDENTIFY_TIMEOUT_S", 0.05)
        a = await networks.start("a")
        for ip in ("2001:db8::1", "::1", "255.255.255.255", "0.0.0.0"):
            with pytest.raises(PeerUnavailable, match="no answer to a discovery ping"):
                await a.network.identify(ip, 30303)
        assert a.task is not None
        assert not a.task.done()

    run(test)


def test_a_port_that_is_taken_is_told_at_the_start(run) -> None:
    async def test(networks) -> None:
        a = await networks.start("a")
        with pytest.raises(OSError, match="address already in use"):
            await networks.start("b", listen_port=a.network.enode.tcp_port)

    run(test)


def test_a_validator_says_where_it_is_and_says_it_anew_only_when_it_has_moved(run, until) -> None:
    async def test(networks) -> None:
        chain = networks.chain("a", "b")
        a = await networks.start("a", chain=chain, is_validator=True)
        b = await networks.start("b", chain=chain, is_validator=True, peers=(parse_enode(a.enode),))
        await until(lambda: len(a.network.records()) == len(b.network.records()) == 2)
        await until(lambda: len(b.store.records) == 2)
        before = {record.address: record for record in b.network.records()}
        port = b.network.enode.tcp_port
        await b.stop()
        same = await networks.start("b", chain=chain, is_validator=True, store=b.store, listen_port=port)
        assert {record.address: record for record in same.network.records()} == before
        await until(same.network.peers, "called where the record says")
        await same.stop()
        moved = await networks.start("b", chain=chain, is_validator=True, store=b.store)
        address = moved.network._signer.address
        await until(
            lambda: any(
                record.address == address
                and record.seq > before[address].seq
                and record.endpoints == (moved.network.enode,)
                for record in a.network.records()
            )
        )

    run(test)


def test_a_validator_that_listens_on_all_addresses_and_knows_no_name_of_its_own_publishes_none(run) -> None:
    async def test(networks) -> None:
        chain = networks.chain("a")
        silent = await networks.start("a", chain=chain, is_validator=True, listen_host="0.0.0.0")
        assert silent.network.records() == []
        await silent.stop()
        named = await networks.start(
            "a", chain=chain, is_validator=True, listen_host="0.0.0.0", advertised_host="a.example"
        )
        assert [record.endpoints[0].host for record in named.network.records()] == ["a.example"]

    run(test)


def test_a_validator_behind_sentries_names_them(run) -> None:
    async def test(networks) -> None:
        chain = networks.chain("a")
        sentry = parse_enode(f"enode://{NodeKey(keccak256(b'sentry')).node_id.hex()}@sentry.example:30303")
        node = await networks.start("a", chain=chain, is_validator=True, sentries=(sentry,))
        [record] = node.network.records()
        assert record.endpoints == (sentry,)
        assert record.node_id == node.key.node_id

    run(test)
