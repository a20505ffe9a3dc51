"""What people use of a network beside its nodes: pages, community API, indexer, and the program that runs them."""
