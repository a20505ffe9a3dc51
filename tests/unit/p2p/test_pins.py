import asyncio

import pytest

from metanode.p2p.enode import NodeId
from metanode.p2p.pins import MemoryPeerStore, PinMismatch, check_pin

A, B = NodeId(b"\x0a" * 64), NodeId(b"\x0b" * 64)


def test_the_first_id_met_at_an_address_is_pinned_and_another_is_refused() -> None:
    async def test() -> None:
        store = MemoryPeerStore()
        assert await check_pin(store, "host:30303", A)
        assert not await check_pin(store, "host:30303", A)
        with pytest.raises(PinMismatch, match="host:30303") as mismatch:
            await check_pin(store, "host:30303", B)
        assert "metanode node forget-pin host:30303" in str(mismatch.value)
        assert await check_pin(store, "host:30304", B)

    asyncio.run(test())
