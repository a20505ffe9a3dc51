//! What a run of code takes of the machine's memory, near enough for a bound.

use revm::{
    context::JournalEntry,
    context_interface::{ContextTr, JournalTr as _, LocalContextTr as _},
    inspector::JournalExt,
};

use super::CallContext;

/// A change in the journal, which is there twice while it grows.
const CHANGE_BYTES: usize = 2 * size_of::<JournalEntry>();
/// A transient slot in its table, with what keeps the table sparse.
const TRANSIENT_BYTES: usize = 74;
/// The same when the table grows, and is there twice for a moment.
const TRANSIENT_BYTES_MAX: usize = 3 * TRANSIENT_BYTES;
/// So many accounts with transient slots are looked at one by one.
const TRANSIENT_ACCOUNTS_MAX: usize = 32;
/// A log without its data.
const LOG_BYTES: usize = 160;
/// A frame that is open: half of what its stack has room for, which few fill. So the deepest recursion that gas pays for, 600 frames,
/// finds room alone.
const FRAME_BYTES: usize = 16 << 10;
/// Memory of code below this needs no look of its own. It moves as it grows, and the places that it has left are small.
pub(super) const LARGE_BYTES: usize = 256 << 10;
/// More than the memory of any call, and than a heap of glibc has: room for so much is never found in one.
const MAPPED_BYTES: usize = 64 << 20;

/// Give the memory of code, when it is large with so many bytes more, pages of its own for all that it can become. They cost
/// nothing before they are written.
///
/// As it grows it would move to places of twice the size, and those that calls before it left free in a heap are taken first:
/// each keeps the pages of what has moved on, and the call takes twice the memory that it holds.
///
/// What was there before moves too. Memory that is seen below `LARGE_BYTES` leaves behind less than twice that, its places before
/// together with the last. One that has grown beyond it in one step, before anybody looked, is where the heap had room: what it
/// leaves there is as large as it was, once in a call, and no bound counts it.
pub(in super::super) fn give_own_pages(context: &impl ContextTr, more: usize) {
    let mut memory = context.local().shared_memory_buffer().borrow_mut();
    if memory.len() + more >= LARGE_BYTES && memory.capacity() < MAPPED_BYTES {
        let missing = MAPPED_BYTES - memory.len();
        // Without it the memory grows as any other does.
        let _ = memory.try_reserve_exact(missing);
    }
}

/// The memory of all open frames, and what they have changed.
pub(super) fn call_bytes(context: &CallContext) -> usize {
    let tables = &context.journaled_state.inner.transient_storage;
    if tables.len() > TRANSIENT_ACCOUNTS_MAX {
        return run_bytes(context);
    }
    let transient: usize = tables
        .values()
        .map(|slots| {
            // One that is nearly full is about to be copied to one of twice its size.
            let is_full = slots.len() > slots.capacity() / 8 * 7;
            let bytes = if is_full {
                TRANSIENT_BYTES_MAX
            } else {
                TRANSIENT_BYTES
            };
            slots.capacity() * bytes
        })
        .sum();
    bytes(context, CHANGE_BYTES) + transient
}

/// The same of any EVM, which does not show its transient slots: each change counts as one.
pub(in super::super) fn run_bytes(context: &impl ContextTr<Journal: JournalExt>) -> usize {
    bytes(context, CHANGE_BYTES + TRANSIENT_BYTES_MAX)
}

fn bytes(context: &impl ContextTr<Journal: JournalExt>, change_bytes: usize) -> usize {
    let memory = context.local().shared_memory_buffer().borrow().len();
    let journal = context.journal_ref();
    memory
        + journal.depth() * FRAME_BYTES
        + journal.journal().len() * change_bytes
        + journal.logs().len() * LOG_BYTES
}

#[cfg(test)]
mod tests {
    use revm::{Context, MainContext};

    use super::*;

    #[test]
    fn large_memory_moves_once_and_keeps_what_is_in_it() {
        let context = Context::mainnet();
        let memory = context.local.shared_memory_buffer.clone();
        memory.borrow_mut().resize(LARGE_BYTES - 1, 7);
        give_own_pages(&context, 0);
        assert!(memory.borrow().capacity() < MAPPED_BYTES, "it is small");
        give_own_pages(&context, 1);
        let place = memory.borrow().as_ptr();
        for bytes in [LARGE_BYTES, 5 << 20, 23 << 20] {
            memory.borrow_mut().resize(bytes, 8);
            give_own_pages(&context, 0);
            assert_eq!(memory.borrow().as_ptr(), place, "{bytes}");
        }
        let memory = memory.borrow();
        assert_eq!(memory[..LARGE_BYTES - 1], vec![7; LARGE_BYTES - 1]);
    }
}
