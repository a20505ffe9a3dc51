"""RLPx: the encrypted, authenticated, multiplexed stream of devp2p.

Source: https://github.com/ethereum/devp2p/blob/master/rlpx.md. `connection.RLPxConnection` is the machine: bytes in, events and bytes out, no
socket, no clock. `stream` is the only module here that knows asyncio.
"""
