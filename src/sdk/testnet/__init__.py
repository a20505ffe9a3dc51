"""The network around the nodes: genesis, faucet, bootstrap, monitoring, explorer, deployment."""
