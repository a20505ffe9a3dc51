"""One file a migration; a file is not changed after it is released."""
