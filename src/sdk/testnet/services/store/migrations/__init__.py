"""Alembic's migrations of the index, shipped in the wheel."""
