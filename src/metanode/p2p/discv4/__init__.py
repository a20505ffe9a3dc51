"""Node discovery, version 4, with EIP-8 and EIP-868.

Source: https://github.com/ethereum/devp2p/blob/master/discv4.md. `discovery.Discovery` is the machine: datagrams and the time in, datagrams and events out.
`service` is the only module here that knows asyncio.
"""
