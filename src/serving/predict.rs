//! `/predict`: a request, the model that answers it, and a worker with time for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::deadlines::Deadlines;
use super::diagnostics::Diagnostics;
use super::error::{MAX_REJECTED, ServingError};
use super::failures::FailedPredictions;
use super::registry::Registry;
use super::served_model::{Load, ServedModel};
use crate::ids::ProjectKey;
use crate::labelling::check::{AnswerContext, Checked, Rules, check};
use crate::wire::shared_body::SharedBody;
use crate::workers::handle::{PredictionReply, WorkerError};
use crate::workers::model::ForwardedRequest;
use crate::workers::pool::{Permit, Priority};

/// One request for predictions.
#[derive(Debug)]
pub struct PredictRequest {
    pub project: ProjectKey,
    /// The labelling config that came with the request; without one, that of /setup is used.
    pub label_config: Option<String>,
    pub priority: Priority,
    /// Make a new instance first.
    pub force_reload: bool,
    /// Make an instance if there is none yet; else that is an error.
    pub try_fetch: bool,
    /// The HTTP request, its body unparsed.
    pub http: ForwardedRequest,
}

/// The answer for the client.
#[derive(Debug)]
pub struct PredictAnswer {
    pub body: Bytes,
    /// Number of tasks that it is for.
    pub tasks: usize,
    /// Parts of it that Label Studio would drop or hide.
    pub checked: Checked,
}

/// The outcome of asking a model.
enum PredictAttempt {
    PredictAnswer(PredictAnswer),
    /// The version cannot be served; another one is to be asked.
    Rejected,
    /// Another version replaced, or may have replaced, it meanwhile.
    Replaced,
}

/// Answers requests for predictions with models of the registry.
#[derive(Debug)]
pub(super) struct Predictor {
    registry: Arc<Registry>,
    deadlines: Deadlines,
    diagnostics: Diagnostics,
    failures: FailedPredictions,
    /// Stops waiting for predictions that still run.
    ended: watch::Sender<bool>,
}

impl Predictor {
    pub(super) fn new(registry: Arc<Registry>, deadlines: Deadlines) -> Self {
        let ended = watch::channel(false).0;
        Self {
            registry,
            deadlines,
            diagnostics: Diagnostics::default(),
            failures: FailedPredictions::default(),
            ended,
        }
    }

    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(super) fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    pub(super) fn failures(&self) -> &FailedPredictions {
        &self.failures
    }

    pub(super) async fn predict(
        &self,
        request: PredictRequest,
    ) -> Result<PredictAnswer, ServingError> {
        let (project, body) = (request.project.clone(), request.http.body.clone());
        let answered = self.predict_until_ended(request).await;
        match &answered {
            Ok(_) => self.failures.note_success(&project),
            Err(error) => self.failures.note_failure(&project, &body, error),
        }
        answered
    }

    async fn predict_until_ended(
        &self,
        request: PredictRequest,
    ) -> Result<PredictAnswer, ServingError> {
        if !request.try_fetch
            && !self.registry.models.known(&request.project, |known| known.is_in_use())
        {
            return Err(ServingError::NoModel(request.project));
        }
        let mut ended = self.ended.subscribe();
        let answered = async {
            let mut rejected = 0;
            while rejected < MAX_REJECTED {
                match self.try_predict(&request).await? {
                    PredictAttempt::PredictAnswer(answered) => return Ok(answered),
                    PredictAttempt::Rejected => rejected += 1,
                    PredictAttempt::Replaced => {}
                }
            }
            Err(ServingError::no_version_left())
        };
        tokio::select! {
            answered = answered => answered,
            _ = ended.wait_for(|ended| *ended) => Err(ServingError::Stopping),
        }
    }

    async fn try_predict(&self, request: &PredictRequest) -> Result<PredictAttempt, ServingError> {
        let model =
            self.registry.resolve(&request.project, request.label_config.as_deref()).await?;
        if model.is_crash_looping() && model.load_state() != Load::Loaded && !request.force_reload {
            if self.registry.reject(&model, "loading it ended its worker again and again").await {
                return Ok(PredictAttempt::Rejected);
            }
            return Err(ServingError::CrashLooping(request.project.clone()));
        }
        let asked = Instant::now();
        let pool = &self.registry.workers.pool;
        // Requests do not wait for workers that cannot import the script.
        let permit = tokio::select! {
            biased;
            permit = pool.acquire(request.priority, &request.project) => permit?,
            reason = pool.until_all_failed() => return Err(ServingError::NotReady(reason)),
            () = sleep(self.deadlines.queue) => {
                return Err(ServingError::Busy(self.deadlines.queue));
            }
        };
        // A worker of the next version must not answer for the one before.
        if model.is_replaced() {
            return Ok(PredictAttempt::Replaced);
        }
        // Nor a worker that would read its files only now.
        let is_new = !permit.worker().has_predicted(model.model.spec.id);
        let gate = &self.registry.models.gate;
        if is_new && gate.is_closed(&request.project) {
            drop(permit);
            gate.pass(&request.project).await;
            return Ok(PredictAttempt::Replaced);
        }
        let answered = self.run(permit, Arc::clone(&model), request, asked).await;
        let given_up = |_| ServingError::NotReady("the prediction was given up".into());
        match answered.map_err(given_up)? {
            Ok(predicted) => {
                self.registry.note_proven(&model);
                let asked = Asked {
                    body: &request.http.body,
                    is_interactive: request.priority == Priority::Interactive,
                    uses_context: self.registry.class.now().is_some_and(|class| class.uses_context),
                };
                let tasks = predicted.tasks;
                let (body, checked) = checked(&model, predicted, asked).await?;
                self.diagnostics.note(&request.project, &checked);
                Ok(PredictAttempt::PredictAnswer(PredictAnswer { body, tasks, checked }))
            }
            Err(ServingError::Model(error)) if self.registry.is_to_blame(&model, &error).await => {
                Ok(PredictAttempt::Rejected)
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a prediction to its end, even if its client hangs up: that does not stop the model, so its thread
    /// stays busy.
    fn run(
        &self,
        permit: Permit,
        model: Arc<ServedModel>,
        request: &PredictRequest,
        asked: Instant,
    ) -> oneshot::Receiver<Result<PredictionReply, ServingError>> {
        let (client, answer) = oneshot::channel();
        let (renew, http) = (request.force_reload, request.http.clone());
        let gathers = http.batch.is_some();
        let waiting = self.deadlines.begin(client, gathers, asked, ServingError::TooLong);
        let mut waiting = waiting.predicts(&request.project);
        let queue = self.deadlines.queue;
        tokio::spawn(async move {
            let worker = permit.worker();
            let predicted = worker.predict(&model.model, renew, http, &mut waiting).await;
            if model.is_retired() {
                worker.unload(model.model.spec.id).await;
            }
            if let Err(WorkerError::Died { .. }) = predicted
                && model.load_state() != Load::Loaded
            {
                model.count_death();
            }
            if predicted.is_ok() {
                model.set_loaded();
            }
            drop(permit);
            if let Err(WorkerError::Cancelled) = predicted {
                waiting.tell_withdrawn();
            }
            waiting.answer(predicted.map_err(|error| match error {
                // The client is still there, so the hard limit has passed.
                WorkerError::Cancelled => ServingError::Busy(queue),
                error => error.into(),
            }));
        });
        answer
    }
}

/// What an answer is the answer to.
struct Asked<'a> {
    body: &'a SharedBody,
    is_interactive: bool,
    uses_context: bool,
}

/// Checks an answer on its way out. A long one is checked on a blocking thread, so that it does not delay
/// other requests; so is one whose long request has to be read again.
async fn checked(
    model: &Arc<ServedModel>,
    predicted: PredictionReply,
    asked: Asked<'_>,
) -> Result<(Bytes, Checked), ServingError> {
    const LONG: usize = 256 << 10;
    let Asked { body: request, is_interactive, uses_context } = asked;
    let check = move |model: &ServedModel, predicted: &PredictionReply, request: &[u8]| {
        let version = model.model.names().served;
        let PredictionReply { body, tasks, mended } = predicted;
        let version = Some(version.as_str());
        let asked =
            AnswerContext { tasks: *tasks, version, mended, request, is_interactive, uses_context };
        check(body, asked, model.rules())
    };
    let is_read = model.rules().is_some_and(Rules::need_tasks);
    let work = predicted.body.len() + if is_read { request.len() } else { 0 };
    if work < LONG {
        let checked = check(model, &predicted, request);
        return Ok((predicted.body, checked));
    }
    let (model, request) = (Arc::clone(model), request.clone());
    let done = tokio::task::spawn_blocking(move || {
        let checked = check(&model, &predicted, &request);
        (predicted.body, checked)
    });
    done.await.map_err(|error| ServingError::NotReady(error.to_string()))
}
