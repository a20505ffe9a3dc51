//! Genesis: header, hash and checked allocation.
