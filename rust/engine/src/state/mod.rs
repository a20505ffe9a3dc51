//! The state as records under hashed keys.
