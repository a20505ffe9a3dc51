"""Values without behaviour: addresses, hashes, hex, RLP, units. Pure."""
