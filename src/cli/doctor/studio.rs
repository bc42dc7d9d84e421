//! Checks the way to Label Studio: its address, the token, the project.

use super::report::CheckGroup;
use crate::label_studio::ids::ProjectId;
use crate::label_studio::projects::Project;
use crate::label_studio::{LabelStudio, RequestPolicy};

/// Connects, and reports the user. None if that failed, which is reported too.
pub(super) async fn connect(
    group: &mut CheckGroup,
    url: &str,
    key: Option<&str>,
) -> Option<LabelStudio> {
    let Some(key) = key else {
        match LabelStudio::release_at(url, RequestPolicy::PROBE).await {
            Ok(release) => group.warning(
                format!("Label Studio {release} answers at {url}; without a token nothing more was checked"),
                "give a token from Account & Settings with --api-key or LABEL_STUDIO_API_KEY",
            ),
            Err(error) => group.failed(&error),
        }
        return None;
    };
    let studio = match LabelStudio::connect_with(url, key, RequestPolicy::PROBE).await {
        Ok(studio) => studio,
        Err(error) => {
            group.failed(&error);
            return None;
        }
    };
    let user = studio.user();
    let name = if user.email.is_empty() { &user.username } else { &user.email };
    let kind = studio.token_kind().as_str();
    group.ok(format!(
        "Label Studio {} answers at {}, and accepts the {kind} of {name}",
        studio.release(),
        studio.url()
    ));
    // Users without permission to read this setting get no warning.
    if let Ok(false) = studio.accepts_legacy_tokens().await {
        group.warning(
            "legacy tokens are disabled, but Label Studio sends such a token to ML backends",
            "start the server with LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY in its environment if the model \
             fetches files or asks Label Studio for something",
        );
    }
    Some(studio)
}

/// Checks the project; None if this token cannot see it.
pub(super) async fn project(
    group: &mut CheckGroup,
    studio: &LabelStudio,
    id: ProjectId,
) -> Option<Project> {
    match studio.project(id).await {
        Ok(project) => {
            group.ok(format!("\"{}\", tasks: {}", project.title, project.task_number));
            Some(project)
        }
        Err(error) => {
            group.failed(&error);
            None
        }
    }
}
