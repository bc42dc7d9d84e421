//! The way to Label Studio: its address, the key, the project.

use super::report::Group;
use crate::label_studio::projects::Project;
use crate::label_studio::{LabelStudio, RequestPolicy};

/// Connects; says as whom. None where that failed, which is told.
pub(super) async fn connect(
    group: &mut Group,
    url: &str,
    key: Option<&str>,
) -> Option<LabelStudio> {
    let Some(key) = key else {
        match LabelStudio::release_at(url, RequestPolicy::PROBE).await {
            Ok(release) => group.warning(
                format!("Label Studio {release} answers at {url}; nothing more was asked"),
                "give a token of Account & Settings with --api-key or LABEL_STUDIO_API_KEY",
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
        "Label Studio {} answers at {}, and takes the {kind} of {name}",
        studio.release(),
        studio.url()
    ));
    // Who may not look at the settings is not told of them.
    if let Ok(false) = studio.accepts_legacy_tokens().await {
        group.warning(
            "legacy tokens are switched off, but such a token is what Label Studio sends to ML backends",
            "start the server with LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY in its environment if the model \
             fetches files or asks Label Studio for something",
        );
    }
    Some(studio)
}

/// Looks at the project; None where there is none for this key.
pub(super) async fn project(group: &mut Group, studio: &LabelStudio, id: u64) -> Option<Project> {
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
