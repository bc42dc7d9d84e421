//! A thread that predicts: it takes requests, makes the instances that it keeps, and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::wire::protocol::{FromWorker, ModelError, ModelId, RequestId};
use crate::worker::event_loop::reader::read_next;
use crate::worker::event_loop::{LoadCall, PredictCall, SharedState, answer_load, fail, reply};
use crate::worker::host::{HttpRequest, ModelHost, PredictionBody};
use crate::worker::scheduler::{NextStep, PredictThreadId};

/// An instance beyond the first one of its model is dropped when it was not used for this long.
const SURPLUS_AFTER: Duration = Duration::from_secs(60);

/// Takes predictions until there are no more. A thread that was started to `load` a model keeps what
/// it made, and stays while it holds anything.
pub(super) fn predict_loop<H: ModelHost>(shared: &Arc<SharedState<H>>, load: Option<&LoadCall>) {
    let (host, scheduler) = (&shared.host, &shared.queues.predict);
    let thread = scheduler.register();
    let stays = load.is_none();
    // A request that waited for an attempt shares its failure; a later request tries again.
    let mut failed = load.and_then(|load| {
        let made = make(shared, thread, load.model, load.renew, None);
        answer_load(shared, load.request, &made);
        made.err().map(|error| (load.model, error))
    });
    // The last outcome is sent while this thread waits without the interpreter anyway.
    let mut last = Vec::new();
    loop {
        let next = host.wait(|| {
            if !last.is_empty() {
                last.drain(..).for_each(|outcome| answer_predict(shared, outcome));
                scheduler.done(thread);
            }
            next(shared, thread)
        });
        match next {
            NextStep::Item { model, item } => {
                let shared_failure = failed.take().filter(|(of, _)| *of == model);
                match shared_failure {
                    Some((_, error)) => {
                        scheduler.not_made(model);
                        last.push(CallOutcome { model, call: item, answer: Some(Err(error)) });
                    }
                    None => last = predict(shared, thread, model, item),
                }
            }
            NextStep::Forget(models) => models.into_iter().for_each(|model| host.release(model)),
            NextStep::Idle => {
                scheduler.surplus(thread).into_iter().for_each(|model| host.release(model));
                if !stays && !scheduler.holds_any(thread) {
                    break;
                }
            }
            NextStep::Closed | NextStep::Read(_) => break,
        }
        failed = None;
    }
    scheduler.leave(thread);
}

/// The next step of a thread. While there is no work it may be the one that reads the channel.
fn next<H: ModelHost>(
    shared: &Arc<SharedState<H>>,
    thread: PredictThreadId,
) -> NextStep<PredictCall> {
    let idle_from = Instant::now() + SURPLUS_AFTER;
    loop {
        let patience = idle_from.saturating_duration_since(Instant::now());
        match shared.queues.predict.next(thread, patience) {
            NextStep::Read(until) => read_next(shared, thread, until),
            next => return next,
        }
    }
}

/// The outcome of a request; without an answer another thread tries.
struct CallOutcome {
    model: ModelId,
    call: PredictCall,
    answer: Option<Result<PredictionBody, ModelError>>,
}

/// Answers a request, together with those that wait and fit into one call.
fn predict<H: ModelHost>(
    shared: &SharedState<H>,
    thread: PredictThreadId,
    model: ModelId,
    first: PredictCall,
) -> Vec<CallOutcome> {
    let mut calls = batch(shared, model, first);
    if calls.len() > 1 {
        let requests: Vec<RequestId> = calls.iter().map(|call| call.request).collect();
        let (made, is_cancelled): (Result<_, ModelError>, _) =
            shared.host.cancellable(&requests, || {
                ready(shared, thread, model, &calls[0])?;
                let https: Vec<&HttpRequest> = calls.iter().map(|call| &call.http).collect();
                Ok(shared.host.predict_batch(model, &https))
            });
        let answers: Option<Vec<_>> = match made {
            Ok(Some(answers)) => Some(answers),
            // All were cancelled, or no thread can answer them.
            Err(error) if is_cancelled || !shared.queues.predict.is_held(model) => {
                Some(calls.iter().map(|_| Err(error.clone())).collect())
            }
            // An error in one of them must not fail the others: each is asked for alone.
            Ok(None) | Err(_) => None,
        };
        if let Some(answers) = answers {
            let outcome = |(call, answer)| CallOutcome { model, call, answer: Some(answer) };
            return calls.into_iter().zip(answers).map(outcome).collect();
        }
    }
    calls.drain(..).map(|call| predict_one(shared, thread, model, call)).collect()
}

/// A request, and those that wait with the same parameters as long as the batch has room.
fn batch<H: ModelHost>(
    shared: &SharedState<H>,
    model: ModelId,
    first: PredictCall,
) -> Vec<PredictCall> {
    let mut calls = vec![first];
    if shared.max_batch_size > 0
        && let Some(of_first) = &calls[0].batch
        && shared.host.takes_batches()
    {
        let mut room = shared.max_batch_size.saturating_sub(of_first.tasks);
        let more = shared.queues.predict.take_more(model, |call| match &call.batch {
            Some(batch) if batch.params == of_first.params && batch.tasks <= room => {
                room -= batch.tasks;
                true
            }
            _ => false,
        });
        calls.extend(more);
    }
    calls
}

/// Whether a thread must make an instance of its own first.
fn needs_own<H: ModelHost>(
    shared: &SharedState<H>,
    thread: PredictThreadId,
    model: ModelId,
) -> bool {
    shared.host.keeps_by_thread() && !shared.queues.predict.holds(thread, model)
}

/// Makes the instance that a request needs, unless there is one.
fn ready<H: ModelHost>(
    shared: &SharedState<H>,
    thread: PredictThreadId,
    model: ModelId,
    call: &PredictCall,
) -> Result<(), ModelError> {
    let PredictCall { force_reload, http, .. } = call;
    if needs_own(shared, thread, model) {
        make(shared, thread, model, *force_reload, Some(http))
    } else {
        shared.load(model, *force_reload, Some(http))
    }
}

fn predict_one<H: ModelHost>(
    shared: &SharedState<H>,
    thread: PredictThreadId,
    model: ModelId,
    call: PredictCall,
) -> CallOutcome {
    let needs_own = needs_own(shared, thread, model);
    let mut was_made = true;
    let (answer, is_cancelled) = shared.host.cancellable(&[call.request], || {
        ready(shared, thread, model, &call).inspect_err(|_| was_made = !needs_own)?;
        shared.host.predict(model, &call.http)
    });
    // If a further instance cannot be made, a thread that holds one answers.
    let others_can = !was_made && !is_cancelled && !call.force_reload;
    let answer = (!others_can || !shared.queues.predict.is_held(model)).then_some(answer);
    CallOutcome { model, call, answer }
}

fn answer_predict<H>(shared: &SharedState<H>, outcome: CallOutcome) {
    let CallOutcome { model, call, answer } = outcome;
    let (writer, request) = (&shared.writer, call.request);
    match answer {
        None => shared.queues.predict.push(model, call, None),
        Some(Ok(prediction)) => {
            let PredictionBody { body, tasks, mended } = prediction;
            reply(writer, request, &FromWorker::Predicted { request, tasks, mended }, &body);
        }
        Some(Err(error)) => fail(writer, request, error),
    }
}

/// Makes the instance that this thread keeps, which the scheduler has been told of.
fn make<H: ModelHost>(
    shared: &SharedState<H>,
    thread: PredictThreadId,
    model: ModelId,
    renew: bool,
    request: Option<&HttpRequest>,
) -> Result<(), ModelError> {
    let began = Instant::now();
    let made = shared.load(model, renew, request);
    match &made {
        Ok(()) => shared.queues.predict.made(thread, model, began.elapsed()),
        Err(_) => shared.queues.predict.not_made(model),
    }
    made
}
