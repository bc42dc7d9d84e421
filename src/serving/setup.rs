//! `/setup`: keeps what Label Studio sends about a project, and loads its model before the first prediction.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::error::{MAX_REJECTED, ServingError};
use super::keys::EXTRA_PARAMS_KEY;
use super::models::Setup;
use super::registry::Registry;
use super::served_model::{Load, ServedModel};
use crate::ids::ProjectKey;
use crate::wire::api_version::ApiVersion;
use crate::wire::protocol::ModelErrorKind;
use crate::workers::model::ForwardedRequest;

/// Keeps a /setup, loads the model before the first prediction and waits for it at most `wait`: Label
/// Studio gives up on /setup after 3 s and then shows the backend as broken, so a slow load goes on in
/// the background. Returns the model version that is served.
pub(super) async fn set_up(
    registry: &Arc<Registry>,
    project: &ProjectKey,
    setup: Setup,
    request: ForwardedRequest,
    force_reload: bool,
    wait: Duration,
) -> Result<String, ServingError> {
    let deadline = Instant::now() + wait;
    let extra_params = setup.extra_params.clone();
    let mut has_params = registry.models.known(project, |known| known.has_params(&extra_params));
    // Instances read them while they are made.
    if !has_params {
        let kept = timeout_at(deadline, keep_extra_params(registry, project, &extra_params)).await;
        // Without the class, the next identical /setup tries again.
        has_params = kept.unwrap_or(Ok(false))?;
    }
    let known = registry.models.entry(project, |known| {
        known.note_params(has_params);
        known.set_up(setup, Some(request))
    });
    for _ in 0..MAX_REJECTED {
        let Ok(resolved) = timeout_at(deadline, registry.resolve(project, None)).await else {
            return Err(ServingError::NotReady("the model folder is still being read".into()));
        };
        let model = resolved?;
        // The model may name its version while it is loaded.
        let version = || model.model.names().served;
        if known && !force_reload && model.load_state() == Load::Loaded {
            return Ok(version());
        }
        if model.is_crash_looping() && known && !force_reload {
            if registry.reject(&model, "loading it ended its worker again and again").await {
                continue;
            }
            return Err(ServingError::CrashLooping(project.to_owned()));
        }
        if timeout_at(deadline, registry.models.gate.pass(project)).await.is_err() {
            return Ok(version());
        }
        match load_until(registry, &model, force_reload, deadline).await {
            // Another request has rejected the version meanwhile.
            Some(Load::Failed(error)) if error.kind == ModelErrorKind::Unloaded => {}
            Some(Load::Failed(error)) if registry.is_to_blame(&model, &error).await => {}
            Some(Load::Failed(error)) => return Err(ServingError::Model(error)),
            Some(_) => return Ok(version()),
            None => {
                info!(
                    project = project.as_str(),
                    "/setup answered before the model was loaded; loading goes on"
                );
                return Ok(version());
            }
        }
    }
    Err(ServingError::no_version_left())
}

/// Keeps the extra parameters of a project where models of API v2 look for them.
async fn keep_extra_params(
    registry: &Registry,
    project: &ProjectKey,
    extra_params: &Value,
) -> Result<bool, ServingError> {
    let Some(text) = as_text(extra_params) else { return Ok(true) };
    let (class, _) = registry.class.imported().await?;
    if class.api == ApiVersion::V2 {
        let store = registry.class.key_store().await?;
        store.set(project.id(), EXTRA_PARAMS_KEY, text).await?;
    }
    Ok(true)
}

/// Loads a model, in the background from `deadline` on; returns its state by then.
async fn load_until(
    registry: &Arc<Registry>,
    model: &Arc<ServedModel>,
    renew: bool,
    deadline: Instant,
) -> Option<Load> {
    let (begun, mut load) = model.begin_load();
    if begun {
        tokio::spawn({
            let (registry, model) = (Arc::clone(registry), Arc::clone(model));
            async move {
                registry.workers.load(&model, renew).await;
                if model.load_state() == Load::Loaded {
                    registry.note_proven(&model);
                }
            }
        });
    }
    let loaded = timeout_at(deadline, load.wait_for(|load| *load != Load::Pending)).await;
    loaded.ok().and_then(Result::ok).map(|load| load.clone())
}

/// Extra parameters as the text that the user of Label Studio typed, or as JSON; none if there are none.
fn as_text(extra_params: &Value) -> Option<String> {
    match extra_params {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        other => Some(other.to_string()),
    }
}
