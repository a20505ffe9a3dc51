"""Hashes, signatures and key files, on libraries that others keep. Pure but for the key files."""
