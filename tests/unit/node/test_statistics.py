"""What the driver's counters tell beside numbers."""

from metanode.consensus.effects import BlockRefused
from metanode.node.statistics import Statistics
from metanode.primitives.types import Hash32, Height, Round


def refused(height: int, round_: int) -> BlockRefused:
    return BlockRefused(
        height=Height(height), round=Round(round_), block_hash=Hash32(bytes(32)), reason="a rule"
    )


def test_refused_blocks_are_news_once_in_each_round_of_ours_and_once_for_all_others():
    """A liar proposes in as many rounds as it likes, and as often."""
    statistics = Statistics()

    def is_news(height: int, round_: int, current: int) -> bool:
        return statistics.refuse_block(refused(height, round_), current=Round(current))

    assert [is_news(1, 0, 0), is_news(1, 0, 0)] == [True, False]
    assert [is_news(1, round_, 0) for round_ in range(3, 1_000, 4)] == [True, *[False] * 249]
    assert [is_news(1, 1, 1), is_news(1, 7, 1), is_news(1, 1, 1)] == [True, False, False]
    assert [is_news(2, 0, 0), is_news(2, 4, 0), is_news(2, 8, 0)] == [True, True, False]
