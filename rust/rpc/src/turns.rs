//! A bounded queue in which callers take turns: who asks for much waits for himself, and not the others for him.

use std::collections::VecDeque;

use alloy_primitives::map::HashMap;
use parking_lot::{Condvar, Mutex};

/// What waits, by caller.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    waiting_max: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: HashMap<u64, VecDeque<T>>,
    /// The callers that something waits of, each once; the first one is next.
    order: VecDeque<u64>,
    count: usize,
    closed: bool,
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// This caller's share is.
    Share,
    /// The queue is.
    Queue,
}

impl<T> Turns<T> {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: HashMap::default(),
                order: VecDeque::new(),
                count: 0,
                closed: false,
            }),
            arrived: Condvar::new(),
            waiting_max,
        }
    }

    /// Lets `item` wait for a turn of its caller, of whom `share` may wait.
    pub(crate) fn push(&self, caller: u64, share: usize, item: T) -> Result<(), Full> {
        let mut state = self.state.lock();
        if state.count >= self.waiting_max {
            return Err(Full::Queue);
        }
        let State {
            waiting,
            order,
            count,
            ..
        } = &mut *state;
        let own = waiting.entry(caller).or_default();
        if own.len() >= share {
            return Err(Full::Share);
        }
        if own.is_empty() {
            order.push_back(caller);
        }
        own.push_back(item);
        *count += 1;
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The oldest item of the caller whose turn it is; waits for one. `None` once the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.next() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            self.arrived.wait(&mut state);
        }
    }

    /// Nothing will come any more.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }
}

impl<T> State<T> {
    fn next(&mut self) -> Option<T> {
        let caller = self.order.pop_front()?;
        let own = self.waiting.get_mut(&caller)?;
        let item = own.pop_front()?;
        self.count -= 1;
        if own.is_empty() {
            self.waiting.remove(&caller);
        } else {
            self.order.push_back(caller);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// What is taken of what was pushed, in order.
    fn taken(pushed: &[(u64, &'static str)]) -> Vec<&'static str> {
        let turns = Turns::new(100);
        for (caller, item) in pushed {
            turns.push(*caller, 100, *item).unwrap();
        }
        turns.close();
        std::iter::from_fn(|| turns.pop()).collect()
    }

    #[test]
    fn callers_take_turns_and_each_keeps_its_order() {
        assert_eq!(
            taken(&[(1, "a"), (1, "b"), (1, "c"), (2, "x"), (3, "p"), (2, "y")]),
            ["a", "x", "p", "b", "y", "c"]
        );
        assert_eq!(taken(&[(1, "a"), (1, "b")]), ["a", "b"]);
        assert!(taken(&[]).is_empty());
    }

    #[test]
    fn a_share_and_the_queue_have_an_end_and_room_comes_back() {
        let turns = Turns::new(3);
        assert_eq!(turns.push(1, 2, 'a'), Ok(()));
        assert_eq!(turns.push(1, 2, 'b'), Ok(()));
        assert_eq!(turns.push(1, 2, 'c'), Err(Full::Share));
        assert_eq!(turns.push(2, 2, 'x'), Ok(()));
        assert_eq!(turns.push(3, 2, 'p'), Err(Full::Queue));
        assert_eq!(turns.pop(), Some('a'));
        assert_eq!(turns.push(1, 2, 'c'), Ok(()));
        turns.close();
        assert_eq!(
            [turns.pop(), turns.pop(), turns.pop()],
            [Some('x'), Some('b'), Some('c')]
        );
        assert_eq!(turns.pop(), None);
        assert!(turns.state.lock().waiting.is_empty());
    }

    #[test]
    fn who_waits_for_an_item_gets_it_and_ends_when_the_queue_closes() {
        let turns = Arc::new(Turns::new(10));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let turns = Arc::clone(&turns);
                thread::spawn(move || std::iter::from_fn(|| turns.pop()).collect::<Vec<u32>>())
            })
            .collect();
        for item in 0..200 {
            while turns.push(u64::from(item % 7), 2, item).is_err() {
                thread::yield_now();
            }
        }
        turns.close();
        let mut all: Vec<u32> = takers
            .into_iter()
            .flat_map(|taker| taker.join().unwrap())
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
    }
}
