//! `/setup`: what Label Studio says of a project, and loading its model ahead of the first prediction.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::model_in_use::{Load, ModelInUse};
use super::models::Setup;
use super::{MOST_REJECTED, Serving, ServingError, no_version_left};

/// What /setup says before the class is known. Label Studio asks again before it predicts.
const UNKNOWN_VERSION: &str = "INITIAL";

impl Serving {
    /// Takes what /setup brought, loads the model ahead of the first prediction and waits for it at
    /// most `wait`: Label Studio gives up on /setup after 3 s and then shows the backend as broken,
    /// so a slow load goes on in the background. Returns the version to be served.
    pub async fn setup(
        self: &Arc<Self>,
        project: &str,
        setup: Setup,
        force_reload: bool,
        wait: Duration,
    ) -> Result<String, ServingError> {
        let known = self.models.set_up(project, setup);
        let deadline = Instant::now() + wait;
        for _ in 0..MOST_REJECTED {
            let Ok(resolved) = timeout_at(deadline, self.resolve(project, None)).await else {
                // The script is still being imported, and nothing is known of its versions.
                return Ok(UNKNOWN_VERSION.into());
            };
            let model = resolved?;
            let version = model.model.spec.version.clone();
            if known && !force_reload && model.load_state() == Load::Loaded {
                return Ok(version);
            }
            if model.is_deadly() && known && !force_reload {
                if self.reject(&model, "loading it ended its worker again and again").await {
                    continue;
                }
                return Err(ServingError::Deadly(project.to_owned()));
            }
            match self.load_until(&model, force_reload, deadline).await {
                Some(Load::Failed(error)) if self.is_to_blame(&model, &error).await => {}
                Some(Load::Failed(error)) => return Err(ServingError::Model(error)),
                Some(_) => return Ok(version),
                None => {
                    info!(project, "/setup answered before the model was loaded; loading goes on");
                    return Ok(version);
                }
            }
        }
        Err(no_version_left())
    }

    /// Loads a model, in the background from `deadline` on; how it went by then.
    async fn load_until(
        self: &Arc<Self>,
        model: &Arc<ModelInUse>,
        renew: bool,
        deadline: Instant,
    ) -> Option<Load> {
        let (begun, mut load) = model.begin_load();
        if begun {
            tokio::spawn({
                let (serving, model) = (Arc::clone(self), Arc::clone(model));
                async move {
                    serving.load_everywhere(&model, renew).await;
                    if model.load_state() == Load::Loaded {
                        serving.note_tried(&model);
                    }
                }
            });
        }
        let loaded = timeout_at(deadline, load.wait_for(|load| *load != Load::Pending)).await;
        loaded.ok().and_then(Result::ok).map(|load| load.clone())
    }
}
