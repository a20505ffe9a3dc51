//! Threads of this server give way to consensus.
//!
//! Blocks have to be on time while callers ask for more than the machine can answer. A nice value of 5 leaves a
//! thread about a quarter of a processor that somebody else wants too, and all of one that nobody wants.

use rustix::process::{getpriority_process, setpriority_process};

const NICE: i32 = 5;
const LOWEST: i32 = 19;

/// Lowers the priority of the calling thread. On Linux the value belongs to the thread, not to the process.
pub(crate) fn give_way() {
    // Not allowed or not supported: the server works without it.
    let _ = getpriority_process(None).and_then(|current| setpriority_process(None, lower(current)));
}

fn lower(current: i32) -> i32 {
    (current + NICE).min(LOWEST)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_gives_way() {
        let before = getpriority_process(None).unwrap();
        let inside = std::thread::spawn(|| {
            give_way();
            getpriority_process(None).unwrap()
        });
        assert_eq!(inside.join().unwrap(), lower(before));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
