"""Proposals and round changes that claim what they do not prove, and blocks that break a rule. Rows 18, 19 and 21 of docs/evidence/catalogue.md."""

import dataclasses
from collections.abc import Callable
from typing import Final

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.execution_header import (
    ExecutionHeader,
    encode_execution_block,
)
from metanode.consensus.messages import (
    Commit,
    Justification,
    Message,
    Prepare,
    PreparedCertificate,
    Proposal,
    RoundChange,
    RoundChangeClaim,
    Seal,
)
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.adversaries.corruption import corrupt, honest
from metanode.simulation.adversaries.equivocating import make_twin
from metanode.simulation.adversaries.mutating import hand_on_changed
from metanode.simulation.adversaries.scripted import Scripted
from metanode.simulation.cluster import Cluster
from metanode.simulation.scenarios.story import Scenario, drawing, require, rounds_s, wait_resumed
from metanode.simulation.witness import Witness

OUTSIDER: Final = PrivateKey(b"\x42" * 32)


async def _lower_certificate(cluster: Cluster) -> None:
    """X is prepared in round 0 by `holder`, Y in round 2 by `first`; in round 3 the liar justifies X with claims that name Y's certificate too."""
    first, holder, third, forger = (cluster.proposer(1, round_) for round_ in range(4))
    witness = Witness(cluster)
    liar = Scripted(cluster, forger, lambda m: None if isinstance(m, Proposal) and m.round == 3 else m)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height != 1 or message.round > 3:
            return True
        if isinstance(message, Prepare):
            return receiver == {0: holder, 2: first}.get(message.round)
        if isinstance(message, Proposal):
            return message.round in {0, 2} or sender == forger
        if isinstance(message, RoundChange):
            # The one that holds X must not be heard before Y is made.
            return sender != holder or message.round == 3
        return False

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        while len(liar.round_changes(1, 3)) < 3:
            require(cluster.now_s < 120, "round 3 was not reached")
            await cluster.wait_s(0.05)
        changes = liar.round_changes(1, 3)
        prepared = {c.author: c.prepared for c in changes}
        lower = prepared[cluster.nodes[holder].key.address]
        higher = prepared[cluster.nodes[first].key.address]
        require(lower is not None and lower.round == 0, "X was not prepared by one")
        require(higher is not None and higher.round == 2, "Y was not prepared by one")
        assert lower is not None
        assert higher is not None
        block = liar.node.driver.find_body(lower.block_hash)
        require(block is not None, "the forger does not have X")
        assert block is not None
        body = Block.decode(block)
        claims = tuple(change.claim for change in changes)
        for justification in (
            Justification(claims=claims, prepared=lower),
            Justification(claims=claims, prepared=None),
        ):
            liar.send(liar.proposal(3, body.header, body, justification))
        await cluster.wait_height(1, within_s=rounds_s(cluster, 3, 3))
        votes = [v for v in witness.messages(Prepare) if v.height == 1 and v.round == 3]
        require(not votes, "an honest validator voted for the block of the lower certificate")
        decided = cluster.checker.blocks[0]
        require(decided.hash == higher.block_hash, "not the block of the highest certificate was decided")
        require(decided.header.proposal_round == 2, "the block was made anew")
        require(cluster.nodes[third].key.address == decided.header.proposer, "the block changed its proposer")
        await cluster.wait_height(3)


async def _forged_justifications(cluster: Cluster) -> None:
    """A block X is prepared in round 0 by all. The proposer of round 1 tries everything to have another one, and is needed afterwards."""
    gone, forger = cluster.proposer(1, 0), cluster.proposer(1, 1)
    witness = Witness(cluster)
    liar = Scripted(cluster, forger, lambda m: None if isinstance(m, Proposal) and m.round == 1 else m)

    def lets_pass(sender: int, _receiver: int, message: Message) -> bool:
        if message.height == 1 and message.round == 0 and isinstance(message, Commit):
            return False
        return sender != gone or (message.height == 1 and message.round == 0)

    cluster.network.filters.append(lets_pass)
    rest = [i for i in honest(cluster) if i != gone]
    async with cluster.running():
        while len(liar.round_changes(1, 1)) < 2:
            require(cluster.now_s < 60, "round 1 was not reached")
            await cluster.wait_s(0.02)
        changes = liar.round_changes(1, 1)
        true = changes[0].prepared
        require(true is not None, "X was not prepared in round 0")
        assert true is not None
        body = liar.node.driver.find_body(true.block_hash)
        assert body is not None
        genesis = cluster.nodes[forger].engine.head_rlp
        other = _of_round(make_twin(Block.decode(body), genesis), liar.node.key, 1)
        block = Block.decode(body)
        forged = _forge(liar, changes, true, block, other)
        for name, (proposed, justification) in forged.items():
            cluster.checker.note("forged", name)
            liar.send(liar.proposal(1, proposed.header, proposed, justification))
        for change in _forge_round_changes(liar, true, other):
            liar.send(change)
        await cluster.wait_s(0.5)
        voted = [v for i in rest for v in witness.messages(Prepare, i) if v.height == 1 and v.round > 0]
        require(not voted, f"somebody voted for a forged justification: one of {', '.join(forged)}")
        for index in rest:
            now = cluster.nodes[index].driver.snapshot.round
            require(now == 1, f"a forged round change took node {index} to round {now}")
        # Two honest ones are left: without the forger's own votes nothing is decided.
        await cluster.wait_height(1, nodes=rest, within_s=rounds_s(cluster, 1, 3))
        require(cluster.checker.blocks[0].hash == true.block_hash, "a forged justification won")
        require(cluster.checker.rounds[Height(1)] == 2, "a forged round change cost its round's proposer")
        certificate = cluster.nodes[rest[0]].disk.certificates[0]
        signers = certificate.addresses(cluster.rules.parameters.validators)
        require(liar.node.key.address in signers, "the forger's honest vote did not count")
        await cluster.wait_height(4, nodes=rest, within_s=60)


def _of_round(block: Block, key: PrivateKey, round_: int) -> Block:
    """Return the block as if its author had made it in a round."""
    header = dataclasses.replace(block.header, proposer=key.address, proposal_round=Round(round_))
    return dataclasses.replace(block, header=header, built=block.execution)


def _forge(
    liar: Scripted, changes: list[RoundChange], true: PreparedCertificate, block: Block, other: Block
) -> dict[str, tuple[Block, Justification]]:
    """Return the forgeries of 5.3, row 19, by name, each in one point only: for X itself, `block`, where X could have been justified."""
    own = liar.round_change(1, 1).claim
    first, second = (change.claim for change in changes[:2])
    bare = [dataclasses.replace(claim, prepared=None) for claim in (first, second)]
    domain = liar.domain

    def own_proposal(block_hash: Hash32) -> Seal:
        digest = domain.proposal(height=Height(1), round=Round(0), block_hash=block_hash)
        return Seal(author=liar.node.key.address, signature=liar.node.key.sign(digest))

    def of(
        proposed: Block, prepared: PreparedCertificate | None, *claims: RoundChangeClaim
    ) -> tuple[Block, Justification]:
        return proposed, Justification(claims=claims, prepared=prepared)

    def claiming(proposed: Block, prepared: PreparedCertificate) -> tuple[Block, Justification]:
        return of(proposed, prepared, first, second, liar.round_change(1, 1, prepared).claim)

    stranger = liar.round_change(1, 1, key=OUTSIDER).claim
    relabelled = PreparedCertificate(
        round=Round(0), block_hash=other.hash, proposal=true.proposal, prepares=true.prepares
    )
    return {
        "a claim less than a quorum": of(block, true, first, own),
        "a signer twice": of(block, true, first, first, own),
        "a claim of another height": of(block, true, first, own, liar.round_change(2, 1).claim),
        "a claim of another round": of(block, true, first, own, liar.round_change(1, 2).claim),
        "a claim of a stranger": of(block, true, first, own, stranger),
        "a certificate with a proposal of another": claiming(
            block, dataclasses.replace(true, proposal=own_proposal(true.block_hash))
        ),
        "a certificate of the round itself": claiming(block, dataclasses.replace(true, round=Round(1))),
        "a certificate of a later round": claiming(block, dataclasses.replace(true, round=Round(7))),
        "prepares for another block": claiming(other, relabelled),
        "prepares of too few": claiming(block, dataclasses.replace(true, prepares=true.prepares[:1])),
        "a prepare twice": claiming(
            block, dataclasses.replace(true, prepares=(true.prepares[0], true.prepares[0]))
        ),
        "certificates dropped from claims": of(other, None, *bare, own),
        "the certificate left out": of(other, None, first, second, own),
        "a true certificate under another block": of(other, true, first, second, own),
        "no claims": of(other, None),
    }


def _forge_round_changes(liar: Scripted, true: PreparedCertificate, other: Block) -> list[RoundChange]:
    """Return round changes that must not count: the first that did would spoil the justification of round 2's honest proposer."""
    proposal = liar.domain.proposal(height=Height(1), round=Round(0), block_hash=other.hash)
    own = Seal(author=liar.node.key.address, signature=liar.node.key.sign(proposal))
    wrong = dataclasses.replace(true, proposal=own)
    twice = dataclasses.replace(true, prepares=(true.prepares[0], true.prepares[0]))
    few = dataclasses.replace(true, prepares=true.prepares[:1])
    return [
        liar.round_change(1, 2, key=OUTSIDER),
        liar.round_change(1, 2, dataclasses.replace(true, round=Round(1))),
        liar.round_change(1, 2, wrong),
        liar.round_change(1, 2, twice),
        liar.round_change(1, 2, few),
        liar.round_change(1, 2, dataclasses.replace(true, round=Round(2))),
        dataclasses.replace(liar.round_change(1, 2, true), prepared=None),
    ]


# --- blocks that break a rule -----------------------------------------------------------------------------------------------------------


def _with_execution(block: Block, **changes: object) -> Block:
    execution = dataclasses.replace(block.execution.header, **changes)  # type: ignore[arg-type]
    return _around(block, execution)


def _around(block: Block, execution: ExecutionHeader) -> Block:
    return Block(
        header=dataclasses.replace(block.header, execution_hash=execution.hash),
        execution_rlp=encode_execution_block(execution, (), block.execution.withdrawals),
        parent_certificate=block.parent_certificate,
    )


def _with_header(block: Block, **changes: object) -> Block:
    header = dataclasses.replace(block.header, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(block, header=header, built=block.execution)


def _with_certificate(block: Block, certificate: Certificate) -> Block:
    header = dataclasses.replace(block.header, parent_certificate_hash=certificate.hash)
    return dataclasses.replace(block, header=header, parent_certificate=certificate, built=block.execution)


def _few_seals(block: Block) -> Block:
    assert block.parent_certificate is not None
    certificate = block.parent_certificate
    bits = int.from_bytes(certificate.signers, "little")
    lowest = bits & -bits
    few = lowest.to_bytes(len(certificate.signers), "little")
    return _with_certificate(
        block, dataclasses.replace(certificate, signers=few, seals=certificate.seals[:1])
    )


def _wrong_seal(block: Block) -> Block:
    assert block.parent_certificate is not None
    certificate = block.parent_certificate
    seals = (certificate.seals[1], certificate.seals[0], *certificate.seals[2:])
    return _with_certificate(block, dataclasses.replace(certificate, seals=seals))


_ELSEWHERE: Final = Hash32(b"\x5a" * 32)
INVALID_BLOCKS: Final[dict[str, Callable[[Block], Block]]] = {
    "state root": lambda block: _with_execution(block, state_root=_ELSEWHERE),
    "parent": lambda block: _with_header(block, parent_hash=_ELSEWHERE),
    "execution parent": lambda block: _with_execution(block, parent_hash=_ELSEWHERE),
    "parentBeaconBlockRoot": lambda block: _with_execution(block, parent_beacon_block_root=_ELSEWHERE),
    "validators_hash": lambda block: _with_header(block, validators_hash=_ELSEWHERE),
    "next_validators_hash": lambda block: _with_header(block, next_validators_hash=_ELSEWHERE),
    "consensus state": lambda block: _with_header(block, consensus_state_root=_ELSEWHERE),
    "parent certificate of too few": _few_seals,
    "parent certificate with a wrong seal": _wrong_seal,
    "proposer": lambda block: _with_header(block, proposal_round=Round(1)),
    "prevRandao": lambda block: _with_execution(block, mix_hash=_ELSEWHERE),
}
"""Name of what is wrong, and how it is made wrong."""


async def _invalid_blocks(cluster: Cluster) -> None:
    """A validator proposes one invalid block after the other: each costs its round, nobody prepares it."""
    forger = cluster.random.randrange(len(cluster.nodes))
    rest = [i for i in range(len(cluster.nodes)) if i != forger]
    node, witness = corrupt(cluster, forger), Witness(cluster)
    kinds = cluster.random.sample(sorted(INVALID_BLOCKS), len(INVALID_BLOCKS))
    proposed: dict[Height, tuple[str, Hash32]] = {}

    def spoil(message: Message) -> list[tuple[int, Message]]:
        everybody = range(len(cluster.nodes))
        if not (isinstance(message, Proposal) and message.block is not None and message.round == 0):
            return [(other, message) for other in everybody]
        if message.height == 1 or not (kinds or message.height in proposed):
            return [(other, message) for other in everybody]
        # What is sent again is spoiled in the same way.
        name = proposed[message.height][0] if message.height in proposed else kinds.pop()
        bad = INVALID_BLOCKS[name](message.block)
        proposed[message.height] = (name, bad.hash)
        digest = node.rules.domain.proposal(height=message.height, round=message.round, block_hash=bad.hash)
        spoiled = dataclasses.replace(message, header=bad.header, block=bad, signature=node.key.sign(digest))
        return [(other, spoiled) for other in everybody]

    node.mischief = spoil
    async with cluster.running():
        while kinds or cluster.height <= max(proposed, default=0):
            await wait_resumed(cluster, nodes=rest)
        await cluster.wait_height(cluster.height + 1, nodes=rest)
    require(len(proposed) == len(INVALID_BLOCKS), "not every invalid block was proposed")
    for height, (name, block_hash) in proposed.items():
        votes = [v for i in rest for v in witness.messages(Prepare, i) if v.block_hash == block_hash]
        require(not votes, f"a block with a wrong {name} was prepared")
        round_ = cluster.checker.rounds[height]
        require(round_ == 1, f"after a block with a wrong {name} height {height} took round {round_}")


NO_MESSAGES: Final = frozenset({"truncated", "trailing bytes", "noise"})
"""Changes after which bytes are no message whatever they were; after the others they may be one of somebody who is no validator."""


async def _mutated_messages(cluster: Cluster) -> None:
    """A validator hands on whatever it hears with a change."""
    liar = cluster.random.randrange(len(cluster.nodes))
    changes = hand_on_changed(cluster, liar)
    async with cluster.running():
        await cluster.wait_height(8, within_s=30)
        sent = {raw for name, raw in changes if name in NO_MESSAGES}
        await cluster.wait_s(0.2)
    require(not any(cluster.checker.rounds.values()), "changed messages cost a round")
    require(len({name for name, _ in changes}) == 6, "not every kind of change was tried")
    for index in honest(cluster):
        charged = {raw for who, _, raw in cluster.network.malformed if who == index}
        missing = sent - charged
        require(
            not missing, f"node {index} has charged nobody for {len(missing)} things that are no messages"
        )
    require(
        all(whom == liar for _, whom, _ in cluster.network.malformed),
        "somebody honest was charged for changed messages",
    )
    evidence = [e for i in honest(cluster) for e in cluster.nodes[i].disk.evidence]
    require(not evidence, "somebody was accused because of changed messages")


FORGERIES: Final[dict[str, Scenario]] = {
    "lower-certificate": Scenario(
        rows=(18,),
        claim="of two prepared blocks that of the later round wins, and a proposal of the other one gets no vote",
        draw=drawing(4),
        play=_lower_certificate,
    ),
    "forged-justifications": Scenario(
        rows=(19,),
        claim="no forged justification or round change counts, and the forger's honest votes still do",
        draw=drawing(4),
        play=_forged_justifications,
    ),
    "invalid-blocks": Scenario(
        rows=(21,),
        claim="an invalid block is prepared by nobody and costs its proposer's round, no more",
        draw=drawing(4),
        play=_invalid_blocks,
    ),
    "mutated-messages": Scenario(
        claim="messages that are changed on their way change nothing, cost no round, accuse nobody, and are charged to who sent them",
        draw=drawing(4),
        play=_mutated_messages,
    ),
}
