//! How the work for an input grows with it: a claim about time that holds on a busy machine too.
//!
//! The measure is the processor time of the test's own thread, which stands still while others have the processor.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Work in proportion to the input grows four times when the input does, work with its square sixteen times.
const GROWTH_MAX: f64 = 8.0;
/// The smallest of so many measurements counts: caches and interrupts of a busy machine only ever add to one.
const ROUNDS: usize = 5;

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// The least processor time of `work` for an input and for one four times as large, measured in turn.
fn least<T>(inputs: &[T; 2], work: impl Fn(&T)) -> [Duration; 2] {
    let mut least = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (least, input) in least.iter_mut().zip(inputs) {
            let begun = processor_time();
            work(input);
            *least = processor_time().saturating_sub(begun).min(*least);
        }
    }
    least
}

/// Fails when `work` grows much faster than the text that `of_size` gives for a size and for four times that.
pub(crate) fn assert_grows_with_size(
    what: &str,
    size: usize,
    of_size: impl Fn(usize) -> String,
    work: impl Fn(&str),
) {
    let [one, four] = least(&[size, 4 * size].map(of_size), |text| work(text));
    assert!(
        four < one.mul_f64(GROWTH_MAX),
        "{what}: {one:?}, and {four:?} for four times the size"
    );
}

#[test]
fn the_measure_tells_a_square_from_a_line() {
    let walk = |text: &str| text.bytes().for_each(|byte| _ = black_box(byte));
    let text = |size| "x".repeat(size);
    assert_grows_with_size("a line", 50_000, text, walk);
    let [one, four] = least(&[300, 1_200].map(text), |text| {
        text.bytes().for_each(|_| walk(text));
    });
    assert!(four > one.mul_f64(GROWTH_MAX), "{one:?}, {four:?}");
}
