//! The rules a header must obey, each with a stable error code.
