//! The state as records under hashed keys: what an account is in the store, and what a block changes.

mod changes;
mod record;

pub use changes::{AccountChange, StateChanges};
pub(crate) use changes::{changes_of_alloc, changes_of_bundle};
pub use record::AccountRecord;
pub(crate) use record::{corrupt, put_trimmed, take, take_trimmed};
