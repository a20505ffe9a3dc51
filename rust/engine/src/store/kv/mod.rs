//! The key-value store behind the state: ordered keys, reads at any time, one writer with atomic batches.

mod batch;
mod disk;
mod memory;
#[cfg(test)]
mod tests;

pub(crate) use batch::Batch;
pub(crate) use disk::DiskKv;
pub(crate) use memory::MemoryKv;

use crate::Result;

pub(crate) type Pair = (Vec<u8>, Vec<u8>);
/// Sees an entry and says whether to go on.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'a;

pub(crate) trait Kv: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The first entry at or after `from` and before `to`.
    fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>>;
    /// All entries whose key begins with `prefix`, in order, for as long as `visit` says true.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()>;
    /// All entries at or after `from` and before `to`, in order, for as long as `visit` says true.
    fn range(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<()>;
    /// Apply a batch: after it, and after a crash, all of it is there or nothing.
    fn write(&self, batch: Batch) -> Result<()>;
    /// Bytes on disk.
    fn disk_bytes(&self) -> u64;
}
