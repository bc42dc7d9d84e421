//! Checks whether the files that the first task of the project names can be fetched.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;
use serde_json::Value;

use super::report::CheckGroup;
use crate::label_studio::LabelStudio;
use crate::label_studio::ids::TaskId;
use crate::label_studio::media::FilePrefix;
use crate::label_studio::projects::Project;
use crate::label_studio::tasks::TaskDetail;

/// Maximum number of files of the task that are tried.
const MAX_FILES: usize = 10;
/// Number of bytes of a file that are fetched.
const BEGINNING: usize = 512;
/// Schemes of storages that Label Studio can open for a model.
const STORAGES: [&str; 5] = ["s3", "gs", "azure-blob", "azure_spi", "redis"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Upload,
    LocalFile,
    Own,
    Storage,
    Web,
}

#[derive(Deserialize)]
struct TaskWithData {
    data: Value,
}

pub(super) async fn check(group: &mut CheckGroup, studio: &LabelStudio, project: &Project) {
    let page = match studio.tasks(project, TaskId(0), 1, TaskDetail::Data).await {
        Ok(page) => page,
        Err(error) => {
            group.failed(&error);
            return;
        }
    };
    let Some(task) = page.tasks.first() else {
        group.warning("the project has no tasks", "import some");
        return;
    };
    let data = serde_json::from_str::<TaskWithData>(task.json.get()).map(|task| task.data);
    let mut files = Vec::new();
    collect(&data.unwrap_or_default(), &mut files);
    files.truncate(MAX_FILES);
    if files.is_empty() {
        group.ok(format!("task {} names no files", task.id));
    }
    for (kind, file) in files {
        let target = target(kind, &file, task.id);
        match studio.download_prefix(&target, BEGINNING).await {
            Ok(beginning) => report_file(group, kind, &file, &beginning),
            Err(error) => {
                group.problem(format!("{file} cannot be fetched: {}", error.summary()), ELSEWHERE);
            }
        }
    }
}

const ELSEWHERE: &str = "correct the address in the task, or make it reachable from this machine";

/// The strings of a task's data that are paths or addresses, each once.
fn collect(value: &Value, files: &mut Vec<(FileKind, String)>) {
    match value {
        Value::String(text) => {
            if let Some(kind) = kind(text)
                && !files.iter().any(|(_, known)| known == text)
            {
                files.push((kind, text.clone()));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, files)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, files)),
        _ => {}
    }
}

fn kind(text: &str) -> Option<FileKind> {
    if text.contains(char::is_whitespace) {
        return None;
    }
    let path = text.trim_start_matches('/');
    if text.contains("/data/local-files") && text.starts_with('/') {
        Some(FileKind::LocalFile)
    } else if (text.contains("/data/upload/") && text.starts_with('/'))
        || path.starts_with("upload/")
    {
        Some(FileKind::Upload)
    } else if ["/data/", "/storage-data/", "/tasks/"].iter().any(|start| text.starts_with(start)) {
        Some(FileKind::Own)
    } else {
        match text.split_once("://")?.0 {
            "http" | "https" => Some(FileKind::Web),
            scheme if STORAGES.contains(&scheme) => Some(FileKind::Storage),
            _ => None,
        }
    }
}

/// Where Label Studio serves a file, as `get_local_path` asks for it.
fn target(kind: FileKind, file: &str, task: TaskId) -> String {
    match kind {
        FileKind::Storage => format!("/tasks/{task}/resolve/?fileuri={}", URL_SAFE.encode(file)),
        FileKind::Upload if file.trim_start_matches('/').starts_with("upload/") => {
            format!("/data/{}", file.trim_start_matches('/'))
        }
        _ => file.to_owned(),
    }
}

fn report_file(group: &mut CheckGroup, kind: FileKind, file: &str, beginning: &FilePrefix) {
    let FilePrefix { status, content_type, bytes, is_from_other_server: elsewhere } = beginning;
    if !status.is_success() {
        let place = if *elsewhere { " from its storage" } else { "" };
        group.problem(
            format!("{file} is answered with {status}{place}"),
            advice(kind, status.as_u16(), *elsewhere),
        );
        return;
    }
    let is_page = content_type.starts_with("text/html") && !file.contains(".htm");
    if is_page {
        group.warning(
            format!("{file} is a web page instead of a file"),
            "probably a login page or a wrong address: open it in a private browser window",
        );
    } else if bytes.is_empty() {
        group.warning(format!("{file} is empty"), "import it again");
    } else {
        group.ok(format!("{file} can be fetched ({content_type})"));
    }
}

fn advice(kind: FileKind, status: u16, elsewhere: bool) -> &'static str {
    match (kind, status) {
        (_, 401) if kind != FileKind::Web => {
            "give the server a token that may read the project, in LABEL_STUDIO_API_KEY"
        }
        (FileKind::LocalFile, 403) => {
            "set LOCAL_FILES_SERVING_ENABLED=true in the environment of Label Studio, and restart it"
        }
        (FileKind::LocalFile, _) => {
            "add a Local Files storage with the folder of this file to the project, and check that \
             LOCAL_FILES_DOCUMENT_ROOT of Label Studio is a parent folder of it"
        }
        (FileKind::Upload, 403) => "use a token of a member of the project",
        (FileKind::Upload, _) => {
            "the file is gone from Label Studio's data folder: import it again"
        }
        (FileKind::Storage, _) if elsewhere => {
            "correct the credentials of the storage under Settings → Cloud Storage"
        }
        (FileKind::Storage, 403) => "use a token of a member of the project",
        (FileKind::Storage, _) => {
            "add this storage to the project under Settings → Cloud Storage, as a source"
        }
        (FileKind::Own, _) => "check whether the address opens in Label Studio",
        (FileKind::Web, 401 | 403) => {
            "this server requires a login, which models do not have: import the files, or use a cloud storage"
        }
        (FileKind::Web, _) => "correct the address in the task",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_told_from_texts() {
        for (text, expected) in [
            ("/data/upload/1/a.png", Some(FileKind::Upload)),
            ("/studio/data/upload/1/a.png", Some(FileKind::Upload)),
            ("upload/1/a.png", Some(FileKind::Upload)),
            ("/data/local-files/?d=a.png", Some(FileKind::LocalFile)),
            ("s3://bucket/a.png", Some(FileKind::Storage)),
            ("azure-blob://box/a.png", Some(FileKind::Storage)),
            ("https://h/a.png", Some(FileKind::Web)),
            ("https://h/a.png is broken", None),
            ("a text", None),
            ("data:image/png;base64,AA==", None),
            ("mailto://x", None),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn files_are_found_wherever_they_stand() {
        let mut files = Vec::new();
        collect(
            &json!({"a": ["s3://b/1", {"c": "s3://b/1"}], "d": 1, "e": "http://h/x"}),
            &mut files,
        );
        assert_eq!(
            files,
            [(FileKind::Storage, "s3://b/1".into()), (FileKind::Web, "http://h/x".into())]
        );
    }

    #[test]
    fn label_studio_is_asked_the_way_models_ask_it() {
        assert_eq!(
            target(FileKind::Storage, "s3://b/ü", TaskId(7)),
            "/tasks/7/resolve/?fileuri=czM6Ly9iL8O8"
        );
        assert_eq!(target(FileKind::Upload, "upload/1/a.png", TaskId(7)), "/data/upload/1/a.png");
        assert_eq!(
            target(FileKind::Upload, "/data/upload/1/a.png", TaskId(7)),
            "/data/upload/1/a.png"
        );
    }
}
