//! The machine-readable code of every error that the started server answers, its status and its meaning.
//!
//! Clients branch on the codes, so a code never changes its name, its status or its meaning. The table in
//! `docs/errors.md` is made from this one; a test compares them.

use axum::http::StatusCode;
use serde::{Serialize, Serializer};

/// Each code: its meaning, the variant, what clients read, the status.
macro_rules! error_codes {
    ($($(#[doc = $meaning:literal])+ $variant:ident $name:literal $status:ident,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::http) enum ErrorCode {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl ErrorCode {
            pub(in crate::http) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub(in crate::http) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }
        }

        /// Every code and its meaning.
        #[cfg(test)]
        const ALL: &[(ErrorCode, &str)] = &[$((ErrorCode::$variant, concat!($($meaning),+)),)+];
    };
}

error_codes! {
    // What was sent is not a request, or not one that is let in.
    /// The bytes are not an HTTP/1.1 request
    InvalidHttp "invalid_http" BAD_REQUEST,
    /// The client began a TLS handshake; the port speaks plain HTTP
    TlsNotSupported "tls_not_supported" BAD_REQUEST,
    /// The client speaks HTTP/2; the port speaks HTTP/1.1
    HttpVersionNotSupported "http_version_not_supported" HTTP_VERSION_NOT_SUPPORTED,
    /// Headers that servers and proxies understand differently: `Host`, `Content-Length`, `Transfer-Encoding`
    AmbiguousRequest "ambiguous_request" BAD_REQUEST,
    /// The address in the request line is too long
    TargetTooLong "target_too_long" URI_TOO_LONG,
    /// The head is larger than `--max-header-size`, or has too many headers
    HeadersTooLarge "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE,
    /// The head did not come within `--header-timeout`
    HeaderTimeout "header_timeout" REQUEST_TIMEOUT,
    /// `--max-connections` connections are open, and all are busy
    TooManyConnections "too_many_connections" SERVICE_UNAVAILABLE,
    /// User and password are missing or wrong
    Unauthorized "unauthorized" UNAUTHORIZED,
    /// Events are taken only at the address with the webhook token
    WebhookTokenRequired "webhook_token_required" UNAUTHORIZED,
    /// There is no such path
    UnknownPath "unknown_path" NOT_FOUND,
    /// The path does not answer this method; the header `Allow` names those that it answers
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED,

    // The body.
    /// `Content-Type` is not `application/json`
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE,
    /// The body is larger than `--max-body`, or than a worker can be sent
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE,
    /// All bodies together are larger than `--max-bodies`, or the system has no room for this one
    NoRoomForBody "no_room_for_body" SERVICE_UNAVAILABLE,
    /// The body came too slowly (`--body-timeout`)
    BodyTimeout "body_timeout" REQUEST_TIMEOUT,
    /// The body broke off, or its chunks are malformed
    BodyUnreadable "body_unreadable" BAD_REQUEST,
    /// The body is not valid JSON, or is JSON that Python cannot read
    InvalidJson "invalid_json" BAD_REQUEST,
    /// The body is JSON, but not an object
    NotAnObject "not_an_object" UNPROCESSABLE_ENTITY,
    /// A field is missing
    MissingField "missing_field" UNPROCESSABLE_ENTITY,
    /// A field, or an argument of the query, has the wrong type or value
    InvalidField "invalid_field" UNPROCESSABLE_ENTITY,
    /// The project key is too long to name a folder
    ProjectKeyTooLong "project_key_too_long" UNPROCESSABLE_ENTITY,
    /// The model needs a labelling config, and neither this request nor a /setup brought one
    MissingLabelConfig "missing_label_config" UNPROCESSABLE_ENTITY,
    /// The labelling config cannot be read
    InvalidLabelConfig "invalid_label_config" UNPROCESSABLE_ENTITY,
    /// /train without annotations
    NoAnnotations "no_annotations" BAD_REQUEST,
    /// `POST /versions` without a project
    NoProject "no_project" BAD_REQUEST,

    // The model and its workers.
    /// No worker has imported the model, since they still start or the import failed
    ModelNotReady "model_not_ready" SERVICE_UNAVAILABLE,
    /// /readyz: no prediction would be answered now
    NotReady "not_ready" SERVICE_UNAVAILABLE,
    /// `--max-queue` predictions wait already
    QueueFull "queue_full" SERVICE_UNAVAILABLE,
    /// `--max-queue-per-project` predictions of the project wait already
    ProjectQueueFull "project_queue_full" SERVICE_UNAVAILABLE,
    /// No worker was free within `--queue-timeout`
    QueueTimeout "queue_timeout" SERVICE_UNAVAILABLE,
    /// The prediction took longer than `--predict-hard-timeout` and was cancelled
    PredictTimeout "predict_timeout" GATEWAY_TIMEOUT,
    /// The prediction was cancelled before it began
    PredictCancelled "predict_cancelled" INTERNAL_SERVER_ERROR,
    /// The server stops
    ServerStopping "server_stopping" SERVICE_UNAVAILABLE,
    /// `try_fetch` is false, and no model of the project is loaded
    ModelNotLoaded "model_not_loaded" NOT_FOUND,
    /// The model was unloaded while the request was on its way
    ModelUnloaded "model_unloaded" INTERNAL_SERVER_ERROR,
    /// The constructor of the model raised
    ModelNotConstructed "model_not_constructed" INTERNAL_SERVER_ERROR,
    /// The model raised an exception
    ModelRaised "model_raised" INTERNAL_SERVER_ERROR,
    /// The model raised `AnswerException`, which chooses the status
    ModelAnswered "model_answered" INTERNAL_SERVER_ERROR,
    /// What `predict` returned cannot be written as JSON
    InvalidResult "invalid_result" INTERNAL_SERVER_ERROR,
    /// With `--strict`: Label Studio would drop or hide predictions; `result.findings` names the places
    InvalidPredictions "invalid_predictions" INTERNAL_SERVER_ERROR,
    /// The worker died, or was stopped, with the prediction
    WorkerDied "worker_died" BAD_GATEWAY,
    /// Loading the model ended several workers in a row; it is tried again after a changed /setup
    ModelCrashLooping "model_crash_looping" INTERNAL_SERVER_ERROR,
    /// The app of `_wsgi.py` raised, or gave no usable answer
    AppFailed "app_failed" INTERNAL_SERVER_ERROR,
    /// The app of `_wsgi.py` took longer than `--predict-hard-timeout` and was interrupted
    AppTimeout "app_timeout" GATEWAY_TIMEOUT,
    /// The channel to the worker failed
    WorkerChannelFailed "worker_channel_failed" INTERNAL_SERVER_ERROR,

    // Training jobs and versions.
    /// The model does not train by /train
    TrainNotSupported "train_not_supported" NOT_FOUND,
    /// There is no such job
    UnknownJob "unknown_job" NOT_FOUND,
    /// The job is no longer kept
    JobGone "job_gone" GONE,
    /// The job has ended or is being published, and cannot be cancelled any more
    JobNotCancellable "job_not_cancellable" CONFLICT,
    /// Another server owns the model folder; this one only predicts
    ModelFolderInUse "model_folder_in_use" SERVICE_UNAVAILABLE,
    /// This server cannot use its model folder, and only predicts
    TrainingUnavailable "training_unavailable" SERVICE_UNAVAILABLE,
    /// The project has no such version
    UnknownVersion "unknown_version" NOT_FOUND,
    /// The version exists, and cannot be loaded
    VersionNotLoadable "version_not_loadable" CONFLICT,
    /// The version exists, and what it needs was not kept (API v2)
    NoEarlierVersion "no_earlier_version" CONFLICT,
    /// A training runs, so no other version can be put back now (API v2)
    TrainingRuns "training_runs" CONFLICT,
    /// The disk is full, where that is known
    StorageFull "storage_full" INSUFFICIENT_STORAGE,
    /// The job store or the stored keys cannot be written: read-only
    StorageReadOnly "storage_read_only" SERVICE_UNAVAILABLE,
    /// A file or a database in the model folder cannot be used or written
    StorageFailed "storage_failed" INTERNAL_SERVER_ERROR,

    /// A mistake of the server itself; its log says more
    InternalError "internal_error" INTERNAL_SERVER_ERROR,
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");

    #[test]
    fn the_page_for_users_has_every_code_and_no_other() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let written: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let rows = ALL.iter().map(|(code, meaning)| {
            let status = match code {
                ErrorCode::ModelAnswered => "400–599".to_owned(),
                code => code.status().as_str().to_owned(),
            };
            format!("| `{}` | {status} | {} |", code.as_str(), meaning.trim())
        });
        assert_eq!(written, rows.collect::<Vec<_>>());
    }

    #[test]
    fn a_code_is_one_word_of_its_own_for_a_failure() {
        let mut seen = HashSet::new();
        for (code, _) in ALL {
            let name = code.as_str();
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{name}");
        }
    }
}
