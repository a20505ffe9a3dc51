"""Addresses without an id, names that do not resolve, and ids that change."""

import asyncio
import ipaddress
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
        await until(lambda: b.network.statistics().connections.get(("outbound", "failed"), 0) >= 2)
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
        assert a.network.statistics().connections.get(("outbound", "failed"), 0) == 0

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


def test_a_node_on_all_addresses_says_what_it_chose_and_how_to_choose_otherwise(run) -> None:
    async def test(networks) -> None:
        chain = networks.chain("a")
        everywhere = {"chain": chain, "is_validator": True, "listen_host": "0.0.0.0"}
        with capture_logs() as logs:
            one = await networks.start("a", local_addresses=("127.0.0.1", "10.7.7.7"), **everywhere)
            await one.stop()
            two = await networks.start("a", local_addresses=("10.7.7.7", "10.8.8.8"), **everywhere)
        assert [record.endpoints for record in one.network.records()] == [(one.network.enode,)]
        assert one.network.enode.host == "10.7.7.7"
        assert one.network._discovery.discovery.endpoint.ip == ipaddress.ip_address("10.7.7.7")
        assert two.network.records() == []
        [chosen] = [entry for entry in logs if entry["event"] == "advertised_address_chosen"]
        assert chosen["address"] == one.network.enode.address
        [unknown] = [entry for entry in logs if entry["event"] == "advertised_address_unknown"]
        assert "10.7.7.7, 10.8.8.8" in unknown["because"]
        for entry in (chosen, unknown):
            assert entry["hint"].startswith("set p2p.advertised_address")

    run(test)


def test_known_peers_correct_the_address_and_strangers_do_not(run, until, monkeypatch) -> None:
    monkeypatch.setattr("metanode.p2p.network.ADDRESS_INTERVAL_S", 0.05)

    async def test(networks) -> None:
        chain = networks.chain("a")
        friends = [NodeKey(keccak256(b"friend %d" % n)).node_id for n in range(2)]
        node = await networks.start(
            "a",
            chain=chain,
            is_validator=True,
            listen_host="0.0.0.0",
            local_addresses=("10.7.7.7",),
            peers=tuple(parse_enode(f"enode://{friend.hex()}@127.0.0.1:9") for friend in friends),
        )
        [before] = node.network.records()
        discovery = node.network._discovery.discovery
        seq = discovery.record[1]
        for n in range(5):
            discovery.told[NodeKey(keccak256(b"stranger %d" % n)).node_id] = ipaddress.ip_address("6.6.6.6")
        for friend in friends:
            discovery.told[friend] = ipaddress.ip_address("203.0.113.7")
        await until(lambda: discovery.endpoint.ip == ipaddress.ip_address("203.0.113.7"))
        assert discovery.record[1] != seq, "a record with another content has another number"
        [after] = node.network.records()
        assert after.seq > before.seq
        assert after.endpoints[0].host == node.network.enode.host == "203.0.113.7"

    run(test)


def test_the_advertised_name_and_port_are_told_everywhere(run, until, monkeypatch) -> None:
    monkeypatch.setattr("metanode.p2p.network.ADDRESS_INTERVAL_S", 0.05)

    async def test(networks) -> None:
        loop = asyncio.get_running_loop()
        real, places = loop.getaddrinfo, ["203.0.113.7"]
        asked: list[str] = []

        async def getaddrinfo(host: str, port: object, **kwargs) -> list:
            asked.append(host)
            hosts = places if host == "a.test" else [host]
            return [entry for name in hosts for entry in await real(name, port, **kwargs)]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        chain = networks.chain("a")
        told = {"advertised_host": "a.test", "advertised_port": 31000}
        a = await networks.start("a", chain=chain, is_validator=True, **told)
        assert str(a.network.enode) == f"enode://{a.key.node_id.hex()}@a.test:31000"
        assert [record.endpoints for record in a.network.records()] == [(a.network.enode,)]
        discovery = a.network._discovery.discovery
        endpoint = discovery.endpoint
        assert (str(endpoint.ip), endpoint.udp_port, endpoint.tcp_port) == (places[0], 31000, 31000)
        hello = []
        b = await networks.start("b", chain=chain)
        real_ready = b.network._exchange.upon_ready
        b.network._exchange.upon_ready = lambda peer, ready: (hello.append(ready), real_ready(peer, ready))
        listening = a.network.listen_address
        b.network.add_peer(parse_enode(f"enode://{a.key.node_id.hex()}@{listening}"))
        await until(b.network.peers)
        assert [ready.hello.listen_port for ready in hello] == [31000]
        places[:] = ["203.0.113.8"]
        await until(lambda: str(discovery.endpoint.ip) == "203.0.113.8", "the name is looked up again")
        seq = discovery.record[1]
        places[:] = ["203.0.113.9", "203.0.113.8"]
        asked.clear()
        await until(lambda: asked.count("a.test") >= 2)
        assert discovery.record[1] == seq, "of two addresses the one that was told stays"

    run(test)


def test_a_node_behind_sentries_has_no_other_peers_and_no_datagrams(run, until) -> None:
    async def test(networks) -> None:
        chain = networks.chain("hidden", "other")
        sentry = await networks.start("sentry", chain=chain)
        hidden = await networks.start(
            "hidden", chain=chain, is_validator=True, sentries=(parse_enode(sentry.enode),)
        )
        other = await networks.start(
            "other", chain=chain, is_validator=True, peers=(parse_enode(sentry.enode),)
        )
        await until(lambda: len(hidden.network.records()) == len(other.network.records()) == 2)
        # Both know each other's record now; the one that names a sentry leads there, the other one is not followed.
        stranger = await networks.start("stranger", chain=chain, peers=(parse_enode(hidden.enode),))
        await until(lambda: stranger.network.statistics().connections.get(("outbound", "failed"), 0) >= 2)
        assert [peer.node_id for peer in hidden.network.peers()] == [sentry.key.node_id]
        assert [peer.node_id for peer in other.network.peers()] == [sentry.key.node_id]
        assert stranger.network.peers() == []
        assert hidden.network.enode.udp_port == 0
        assert hidden.network.record == ""
        with pytest.raises(PeerUnavailable, match="no part in discovery"):
            await hidden.network.identify("127.0.0.1", 9)

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
