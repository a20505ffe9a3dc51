"""Nodes that come and go in any order find each other again, and nothing of ours fails meanwhile."""

from dataclasses import replace
from random import Random

import pytest
from structlog.testing import capture_logs

from metanode.p2p.enode import parse_enode
from metanode.p2p.ports import Priority

FAILURES = {
    "peer_session_failed",
    "peer_message_failed",
    "dial_loop_failed",
    "peer_gone_not_handled",
    "transactions_not_handled",
    "peer_offence",
}


@pytest.mark.parametrize("seed", [1, 2])
def test_five_validators_that_restart_at_random_are_a_full_mesh_again(run, until, settled, seed: int) -> None:
    async def test(networks) -> None:
        random = Random(seed)
        names = "abcde"
        chain = networks.chain(*names)
        nodes = {}
        for name in names:
            nodes[name] = await networks.start(name, chain=replace(chain), is_validator=True)
        ports = {name: node.network.enode.tcp_port for name, node in nodes.items()}
        enodes = tuple(parse_enode(node.enode) for node in nodes.values())
        stores = {name: node.store for name, node in nodes.items()}
        ids = {name: node.network.own_id for name, node in nodes.items()}

        def missing(name: str) -> int:
            """How many of the others do not see it."""
            others = [node for other, node in nodes.items() if other != name]
            return sum(ids[name] not in {peer.node_id for peer in node.network.peers()} for node in others)

        with capture_logs() as logs:
            for node in nodes.values():
                for enode in enodes:
                    node.network.add_peer(enode)
            for step in range(20):
                name = random.choice(names)
                await nodes[name].stop()
                for node in nodes.values():
                    if node.task is not None:
                        node.network.broadcast(b"%s %d" % (node.name.encode(), step), Priority.VOTE)
                        node.network.broadcast(random.randbytes(100_000), Priority.PROPOSAL)
                heard_of_it = random.randrange(5)
                await until(
                    lambda left=name, n=heard_of_it: missing(left) >= n, "some have noticed that it is gone"
                )
                nodes[name] = await networks.start(
                    name,
                    chain=replace(chain),
                    is_validator=True,
                    peers=enodes,
                    listen_port=ports[name],
                    store=stores[name],
                )
                connected = random.randrange(5)
                await until(
                    lambda back=name, n=connected: len(nodes[back].network.peers()) >= n, "some are connected"
                )
            await until(
                lambda: all(len(node.network.peers()) == 4 for node in nodes.values()), "everybody sees four"
            )
            await until(lambda: settled(*nodes.values()), "and goes on seeing them")
            assert [len(node.network.peers()) for node in nodes.values()] == [4] * 5
            nodes["a"].network.broadcast(b"after all", Priority.VOTE)
            await until(lambda: all(b"after all" in nodes[name].received for name in "bcde"))
        assert [entry for entry in logs if entry["event"] in FAILURES] == []

    run(test)
