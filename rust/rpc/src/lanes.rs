//! Where calls run that must not hold up the threads that read requests.
//!
//! Heavy calls share a fixed number of threads, which is also how many run at once; their callers take turns. Writing calls of all
//! connections are gathered by one thread and handed over together, so that the engine can work on them in parallel.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::address::Share;
use crate::budget::{Budget, Permit};
use crate::error::{LIMIT_EXCEEDED, RpcError};
use crate::methods::{Answer, Methods, Waiting};
use crate::priority::give_way;
use crate::response::{Made, Room};
use crate::turns::{Full, Turns};

/// Calls that are handed to the engine together at most: enough to keep its recovery threads busy, and a few
/// milliseconds of work.
const WRITES_TOGETHER_MAX: usize = 512;

struct Job {
    method: Arc<str>,
    params: Option<Box<RawValue>>,
    reply: oneshot::Sender<Made>,
    /// That of its request: the parameters stay here also when the caller is gone.
    place: Option<Arc<Permit>>,
}

struct HeavyJob {
    job: Job,
    /// Where its answer finds room.
    answers: Arc<Room>,
    /// Of which it takes while it runs.
    memory: Arc<Budget>,
}

/// A heavy call that is worked on.
struct Working {
    reply: oneshot::Sender<Made>,
    memory: Arc<Budget>,
    held: Mutex<Option<Permit>>,
}

impl Waiting for Working {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn may_hold(&self, bytes: usize) -> bool {
        let mut held = self.held.lock();
        match &mut *held {
            Some(permit) => match bytes.checked_sub(permit.bytes()) {
                Some(more) => permit.grow(more),
                None => true,
            },
            None => {
                *held = self.memory.take(bytes);
                held.is_some()
            }
        }
    }
}

/// The queues to the threads. The threads end when this is dropped.
pub(crate) struct Lanes {
    heavy: Arc<Turns<HeavyJob>>,
    writes: Sender<Job>,
}

impl Lanes {
    pub(crate) fn start(
        methods: &Arc<dyn Methods>,
        heavy_threads: usize,
        heavy_queued_max: usize,
        writes_queued_max: usize,
    ) -> std::io::Result<Self> {
        let heavy = Arc::new(Turns::new(heavy_queued_max));
        for number in 0..heavy_threads.max(1) {
            let (methods, jobs) = (Arc::clone(methods), Arc::clone(&heavy));
            thread::Builder::new()
                .name(format!("rpc-heavy-{number}"))
                .spawn(move || run_heavy(&*methods, &jobs))?;
        }
        let (writes, write_jobs) = bounded(writes_queued_max);
        let methods = Arc::clone(methods);
        thread::Builder::new()
            .name("rpc-writes".to_owned())
            .spawn(move || run_writes(&*methods, &write_jobs))?;
        Ok(Self { heavy, writes })
    }

    /// Queues a heavy call; refuses it when too many wait, of this caller or of all.
    pub(crate) fn heavy(
        &self,
        method: &Arc<str>,
        params: Option<&RawValue>,
        place: Option<&Arc<Permit>>,
        share: &Share,
    ) -> Result<oneshot::Receiver<Made>, RpcError> {
        let (job, answer) = Job::new(method, params, place);
        let job = HeavyJob {
            job,
            answers: Arc::clone(&share.answers),
            memory: Arc::clone(&share.memory),
        };
        let queued = self.heavy.push(share.caller, share.heavy_queued_max, job);
        match queued {
            Ok(()) => Ok(answer),
            Err(Full::Queue) => Err(RpcError::busy()),
            Err(Full::Share) => Err(RpcError::new(
                LIMIT_EXCEEDED,
                format!(
                    "{} costly requests of this address are waiting: send no more before they are answered",
                    share.heavy_queued_max
                ),
            )),
        }
    }

    /// Queues a writing call; refuses it when too many wait.
    pub(crate) fn write(
        &self,
        method: &Arc<str>,
        params: Option<&RawValue>,
        place: Option<&Arc<Permit>>,
    ) -> Result<oneshot::Receiver<Made>, RpcError> {
        let (job, answer) = Job::new(method, params, place);
        match self.writes.try_send(job) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(RpcError::busy()),
            Err(TrySendError::Disconnected(_)) => Err(RpcError::internal()),
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.heavy.close();
    }
}

impl Job {
    fn new(
        method: &Arc<str>,
        params: Option<&RawValue>,
        place: Option<&Arc<Permit>>,
    ) -> (Self, oneshot::Receiver<Made>) {
        let (reply, answer) = oneshot::channel();
        let job = Self {
            method: Arc::clone(method),
            params: params.map(ToOwned::to_owned),
            reply,
            place: place.cloned(),
        };
        (job, answer)
    }
}

fn run_heavy(methods: &dyn Methods, jobs: &Turns<HeavyJob>) {
    give_way();
    while let Some(HeavyJob {
        job,
        answers,
        memory,
    }) = jobs.pop()
    {
        let Job {
            method,
            params,
            reply,
            place,
        } = job;
        if !reply.is_closed() {
            let working = Arc::new(Working {
                reply,
                memory,
                held: Mutex::default(),
            });
            let waiting = Arc::clone(&working) as Arc<dyn Waiting>;
            let answer = catch_unwind(AssertUnwindSafe(|| {
                methods.call_unless(&method, params.as_deref(), waiting)
            }))
            .unwrap_or_else(|_| Err(RpcError::internal()));
            // Whoever watched the caller is done with it; were it not so, the caller would read an internal error.
            if let Some(Working { reply, held, .. }) = Arc::into_inner(working) {
                // From here on it is the answer that takes room.
                drop((params, place, held));
                let _ = reply.send(Made::new(answer, &answers));
            }
        }
    }
}

fn run_writes(methods: &dyn Methods, jobs: &Receiver<Job>) {
    give_way();
    while let Ok(first) = jobs.recv() {
        let mut gathered = vec![first];
        while gathered.len() < WRITES_TOGETHER_MAX
            && let Ok(next) = jobs.try_recv()
        {
            gathered.push(next);
        }
        while !gathered.is_empty() {
            let other = gathered
                .iter()
                .position(|job| job.method != gathered[0].method)
                .unwrap_or(gathered.len());
            let rest = gathered.split_off(other);
            hand_over(methods, gathered);
            gathered = rest;
        }
    }
}

/// Calls of one method.
fn hand_over(methods: &dyn Methods, jobs: Vec<Job>) {
    let method = Arc::clone(&jobs[0].method);
    let (params, replies): (Vec<_>, Vec<_>) = jobs
        .into_iter()
        .map(|job| (job.params, (job.place, job.reply)))
        .unzip();
    let answers =
        catch_unwind(AssertUnwindSafe(|| methods.call_many(&method, &params))).unwrap_or_default();
    // A reply without an answer is dropped, which its caller reads as an internal error.
    drop(params);
    for ((place, reply), answer) in replies.into_iter().zip(answers) {
        drop(place);
        let _ = reply.send(Made::free(answer));
    }
}

/// Answers a call; a panic of a handler is an internal error of this call and of nothing else.
pub(crate) fn call_guarded(
    methods: &dyn Methods,
    method: &str,
    params: Option<&RawValue>,
) -> Answer {
    catch_unwind(AssertUnwindSafe(|| methods.call(method, params)))
        .unwrap_or_else(|_| Err(RpcError::internal()))
}
