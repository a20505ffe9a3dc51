//! The JSON-RPC methods that the engine answers.
