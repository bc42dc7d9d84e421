//! A thread that predicts: it takes requests, makes the instances that it keeps, and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Load, Predict, Shared, answer_load, fail, reply};
use crate::workers::dispatch::{Next, ThreadId};
use crate::workers::host::{HttpRequest, ModelHost, Prediction};
use crate::workers::protocol::{FromWorker, ModelError, ModelId};

/// An instance beyond the first one of its model is dropped when it was not used for this long.
const SURPLUS_AFTER: Duration = Duration::from_secs(60);

/// Takes predictions until there are no more. A thread that was started to `load` a model keeps what
/// it made, and stays while it holds anything.
pub(super) fn predict_loop<H: ModelHost>(shared: &Arc<Shared<H>>, load: Option<&Load>) {
    let (host, dispatch) = (&shared.host, &shared.queues.predict);
    let thread = dispatch.register();
    let stays = load.is_none();
    // Whoever waited for an attempt shares its failure; whoever comes later tries again.
    let mut failed = load.and_then(|load| {
        let made = make(shared, thread, load.model, load.renew, None);
        answer_load(shared, load.request, &made);
        made.err().map(|error| (load.model, error))
    });
    // What the last request came to is sent while the interpreter is let go for the next one anyway.
    let mut last = None;
    loop {
        let next = host.wait(|| {
            if let Some(outcome) = last.take() {
                answer_predict(shared, outcome);
                dispatch.done(thread);
            }
            dispatch.next(thread, SURPLUS_AFTER)
        });
        match next {
            Next::Item { model, item } => {
                let shared_failure = failed.take().filter(|(of, _)| *of == model);
                last = Some(match shared_failure {
                    Some((_, error)) => {
                        dispatch.not_made(model);
                        Outcome { model, call: item, answer: Some(Err(error)) }
                    }
                    None => predict_one(shared, thread, model, item),
                });
            }
            Next::Forget(models) => models.into_iter().for_each(|model| host.release(model)),
            Next::Idle => {
                dispatch.surplus(thread).into_iter().for_each(|model| host.release(model));
                if !stays && !dispatch.holds_any(thread) {
                    break;
                }
            }
            Next::Closed => break,
        }
        failed = None;
    }
    dispatch.leave(thread);
}

/// What a request came to; without an answer another thread is to try.
struct Outcome {
    model: ModelId,
    call: Predict,
    answer: Option<Result<Prediction, ModelError>>,
}

fn predict_one<H: ModelHost>(
    shared: &Shared<H>,
    thread: ThreadId,
    model: ModelId,
    call: Predict,
) -> Outcome {
    let host = &shared.host;
    let needs_own = host.keeps_by_thread() && !shared.queues.predict.holds(thread, model);
    let mut was_made = true;
    let (answer, is_cancelled) = host.cancellable(call.request, || {
        if needs_own {
            let made = make(shared, thread, model, call.force_reload, Some(&call.http));
            was_made = made.is_ok();
            made?;
        } else {
            shared.load(model, call.force_reload, Some(&call.http))?;
        }
        host.predict(model, &call.http)
    });
    // A further instance that cannot be made costs nobody an answer: there are others.
    let others_can = !was_made && !is_cancelled && !call.force_reload;
    let answer = (!others_can || !shared.queues.predict.is_held(model)).then_some(answer);
    Outcome { model, call, answer }
}

fn answer_predict<H>(shared: &Shared<H>, outcome: Outcome) {
    let Outcome { model, call, answer } = outcome;
    let (writer, request) = (&shared.writer, call.request);
    match answer {
        None => shared.queues.predict.push(model, call),
        Some(Ok(prediction)) => {
            let Prediction { body, tasks, mended } = prediction;
            reply(writer, request, &FromWorker::Predicted { request, tasks, mended }, &body);
        }
        Some(Err(error)) => fail(writer, request, error),
    }
}

/// Makes the instance that this thread keeps, after it was said that somebody would.
fn make<H: ModelHost>(
    shared: &Shared<H>,
    thread: ThreadId,
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
