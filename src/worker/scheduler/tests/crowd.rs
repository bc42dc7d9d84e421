//! Many requests and real threads, in any order: each request runs once, and no thread sleeps while a request
//! waits that it could run or read.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;
use crate::os::wakeup::Wakeup;
use crate::testing::in_time;

/// How long a thread sleeps that is not woken: longer than the test allows.
const PATIENCE: Duration = Duration::from_secs(600);
/// Time limit; milliseconds of work become seconds only if a thread sleeps in vain.
const HANGS: Duration = Duration::from_secs(20);

/// A message of the server.
#[derive(Debug, Clone, Copy)]
enum Step {
    Push(u8),
    Forget(u8),
    /// A pause, in microseconds.
    Pause(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8).prop_map(Step::Push),
        1 => (0..4u8).prop_map(Step::Forget),
        2 => (0..3_000u64).prop_map(Step::Pause),
    ]
}

/// How making instances goes: one in `fails` fails, each takes `takes` microseconds.
#[derive(Debug, Clone, Copy)]
struct Making {
    fails: usize,
    takes: u64,
}

/// The end of a channel that carries one step in two bytes.
struct Channel {
    stream: Mutex<UnixStream>,
    wakeup: Arc<Wakeup>,
    /// Requests that were read; each is called by its number.
    read: AtomicUsize,
}

/// The first bytes of `Step::Push` and `Step::Forget` on the channel, and that of the end of all work.
const PUSH: u8 = 0;
const FORGET: u8 = 1;
const CLOSE: u8 = 2;

impl Channel {
    fn comes_within(&self, stream: &UnixStream, patience: Duration) -> bool {
        let patience = Timespec::try_from(patience).unwrap();
        let mut waited =
            [PollFd::new(stream, PollFlags::IN), PollFd::new(&*self.wakeup, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut waited, Some(&patience))).unwrap();
        self.wakeup.clear();
        !waited[0].revents().is_empty()
    }

    /// Reads one step and takes it; false at the end.
    fn take(
        &self,
        mut stream: &UnixStream,
        scheduler: &Scheduler<usize>,
        by: Option<PredictThreadId>,
    ) -> bool {
        let mut step = [0; 2];
        if stream.read_exact(&mut step).is_err() {
            return false;
        }
        let model = ModelId(step[1].into());
        match step[0] {
            PUSH => scheduler.push(model, self.read.fetch_add(1, Ordering::Relaxed), by),
            FORGET => scheduler.forget(model),
            _ => scheduler.close(),
        }
        true
    }
}

/// The fallback reader, as `event_loop` runs it.
fn read_as_fallback(scheduler: &Scheduler<usize>, channel: &Channel) {
    loop {
        let stream = channel.stream.lock();
        loop {
            while scheduler.any_waits() && !channel.comes_within(&stream, STALL_CHECK) {
                scheduler.wake_stalled();
            }
            if !channel.take(&stream, scheduler, None) {
                return;
            }
            if scheduler.hand_over_reading() {
                break;
            }
        }
        drop(stream);
        scheduler.wait_for_reading();
    }
}

/// A prediction thread, as `event_loop` runs it. Returns the requests that it ran.
fn take_work(
    scheduler: &Scheduler<usize>,
    channel: &Channel,
    by_thread: bool,
    making: Making,
) -> Vec<usize> {
    let thread = scheduler.register();
    let mut ran = Vec::new();
    loop {
        match scheduler.next(thread, PATIENCE) {
            NextStep::Item { model, item } => {
                if by_thread && !scheduler.holds(thread, model) {
                    let cost = Duration::from_micros(making.takes);
                    thread::sleep(cost);
                    if item.is_multiple_of(making.fails) {
                        scheduler.not_made(model);
                    } else {
                        scheduler.made(thread, model, cost);
                    }
                }
                ran.push(item);
                scheduler.done(thread);
            }
            NextStep::Read(until) => {
                let stream = channel.stream.lock();
                let patience = until.saturating_duration_since(Instant::now());
                if channel.comes_within(&stream, patience) {
                    channel.take(&stream, scheduler, Some(thread));
                }
            }
            NextStep::Forget(_) | NextStep::Idle => {}
            NextStep::Closed => break,
        }
    }
    scheduler.leave(thread);
    ran
}

fn play(by_thread: bool, threads: usize, making: Making, steps: Vec<Step>) -> TestCaseResult {
    let scheduler = Arc::new(Scheduler::new(by_thread));
    let (mut server, worker) = UnixStream::pair().unwrap();
    let wakeup = Arc::new(Wakeup::new().unwrap());
    scheduler.allow_reading(Arc::clone(&wakeup));
    let channel =
        Arc::new(Channel { stream: Mutex::new(worker), wakeup, read: AtomicUsize::new(0) });
    let (report, ended) = mpsc::channel();
    for _ in 0..threads {
        let (scheduler, channel) = (Arc::clone(&scheduler), Arc::clone(&channel));
        let report = report.clone();
        thread::spawn(move || report.send(take_work(&scheduler, &channel, by_thread, making)));
    }
    let fallback_reader = thread::spawn({
        let scheduler = Arc::clone(&scheduler);
        move || read_as_fallback(&scheduler, &channel)
    });
    let mut pushed = 0;
    for step in steps {
        match step {
            Step::Push(model) => {
                server.write_all(&[PUSH, model]).unwrap();
                pushed += 1;
            }
            Step::Forget(model) => server.write_all(&[FORGET, model]).unwrap(),
            Step::Pause(micros) => thread::sleep(Duration::from_micros(micros)),
        }
    }
    server.write_all(&[CLOSE, 0]).unwrap();
    let mut ran = Vec::new();
    for _ in 0..threads {
        let one = ended.recv_timeout(HANGS);
        prop_assert!(one.is_ok(), "a thread sleeps while something waits: {scheduler:?}");
        ran.extend(one.unwrap());
    }
    scheduler.wait_drained();
    drop(server);
    prop_assert!(fallback_reader.join().is_ok());
    prop_assert_eq!(ran.len(), pushed);
    prop_assert_eq!(ran.into_iter().collect::<BTreeSet<_>>().len(), pushed);
    Ok(())
}

proptest! {
    // A hang is rare and takes long: a smaller case is not worth looking for.
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_request_is_run_once_and_nobody_sleeps_for_ever(
        by_thread: bool,
        threads in 1..5usize,
        fails in 2..9usize,
        takes in 0..2_000u64,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        in_time(move || play(by_thread, threads, Making { fails, takes }, steps))?;
    }
}
