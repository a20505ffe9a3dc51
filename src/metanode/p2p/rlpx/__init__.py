"""RLPx: the encrypted, authenticated, multiplexed stream of devp2p.

Source: https://github.com/ethereum/devp2p/blob/master/rlpx.md. `connection.RLPxConnection` is the machine: bytes in, events and bytes out, no
socket, no clock. Nothing here knows asyncio: the socket is `p2p.peer`'s.
"""
