"""JSON-RPC: the door to the compiled server, the handlers of our own namespaces, and a client.

- `server` configures and runs the compiled server and passes its forwarded requests to handlers.
- `ibft` and `admin` are such handlers, one file for each namespace; they see the node through Protocols.
- `client` asks a node, ours or another.
- `errors` are what a handler raises and what a client gets.

What wallets ask (`eth_` and so on) is answered in Rust and never comes here.
"""
