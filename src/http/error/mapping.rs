//! The one place that turns errors of the rooms below into what a client sees.

use std::io::ErrorKind;

use axum::http::StatusCode;
use tokio::task::JoinError;

use super::{ApiError, ErrorCode, TASK};
use crate::serving::ServingError;
use crate::store::db::DbError;
use crate::store::versions::StoreError;
use crate::training::queue::QueueError;
use crate::wire::frame::FrameError;
use crate::wire::protocol::{ModelError, ModelErrorKind};

impl From<ServingError> for ApiError {
    fn from(error: ServingError) -> Self {
        let detail = error.to_string();
        let code = match error {
            ServingError::Model(error) => return Self::from(error),
            ServingError::Store(error) => return Self::from(error),
            ServingError::NotReady(_) | ServingError::OthersModels(_) => ErrorCode::ModelNotReady,
            ServingError::Busy(_) => ErrorCode::QueueTimeout,
            ServingError::QueueFull(_) => ErrorCode::QueueFull,
            ServingError::ProjectQueueFull(_) => ErrorCode::ProjectQueueFull,
            ServingError::Stopping => ErrorCode::ServerStopping,
            ServingError::TooLong(_) => ErrorCode::PredictTimeout,
            ServingError::AppTooLong(_) => ErrorCode::AppTimeout,
            ServingError::NoModel(_) => ErrorCode::ModelNotLoaded,
            ServingError::NoVersion { .. } => ErrorCode::UnknownVersion,
            ServingError::Unloadable { .. } => ErrorCode::VersionNotLoadable,
            ServingError::NoWayBack { .. } => ErrorCode::NoEarlierVersion,
            ServingError::TrainingRuns => ErrorCode::TrainingRuns,
            ServingError::Died { .. } => ErrorCode::WorkerDied,
            ServingError::Frame(FrameError::HeaderTooLong(_) | FrameError::BodyTooLong(_)) => {
                ErrorCode::BodyTooLarge
            }
            ServingError::Frame(_) => ErrorCode::WorkerChannelFailed,
            ServingError::CrashLooping(_) => ErrorCode::ModelCrashLooping,
            ServingError::Keys(error) => code_of(&error),
        };
        Self::new(code, detail)
    }
}

/// A database that cannot be used.
fn code_of(error: &DbError) -> ErrorCode {
    if error.is_full() {
        ErrorCode::StorageFull
    } else if error.is_read_only() {
        ErrorCode::StorageReadOnly
    } else {
        ErrorCode::StorageFailed
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        let detail = error.to_string();
        let code = match error {
            QueueError::Held(_) => ErrorCode::ModelFolderInUse,
            QueueError::Unusable(_) => ErrorCode::TrainingUnavailable,
            QueueError::NoClass(_) => ErrorCode::ModelNotReady,
            QueueError::Stopping => ErrorCode::ServerStopping,
            QueueError::Db(error) => code_of(&error),
            QueueError::Unknown(_) => ErrorCode::UnknownJob,
            QueueError::Gone(_) => ErrorCode::JobGone,
            QueueError::TooLate { .. } => ErrorCode::JobNotCancellable,
            QueueError::Versions(StoreError::Project(_)) => ErrorCode::ProjectKeyTooLong,
            QueueError::Versions(_) => ErrorCode::StorageFailed,
            QueueError::Thread(error) => return Self::from(error),
        };
        Self::new(code, detail)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Project(_) => ErrorCode::ProjectKeyTooLong,
            StoreError::Io { reason, .. } if reason.kind() == ErrorKind::StorageFull => {
                ErrorCode::StorageFull
            }
            StoreError::Io { .. } | StoreError::Json(_) | StoreError::NotAnObject { .. } => {
                ErrorCode::StorageFailed
            }
        };
        Self::new(code, error.to_string())
    }
}

/// A panic is a bug of the server; its message goes only to the log.
impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        Self::new(ErrorCode::InternalError, "a thread of the server ended early")
            .logging(error.to_string())
    }
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        let said = format!("{}: {}", error.class, error.message);
        let (code, detail) = match error.kind {
            ModelErrorKind::Construct => (ErrorCode::ModelNotConstructed, said),
            ModelErrorKind::Raised => (ErrorCode::ModelRaised, said),
            ModelErrorKind::Result => (ErrorCode::InvalidResult, said),
            ModelErrorKind::Unloaded => (ErrorCode::ModelUnloaded, said),
            ModelErrorKind::App => (ErrorCode::AppFailed, said),
            ModelErrorKind::Cancelled => (ErrorCode::PredictCancelled, said),
            ModelErrorKind::Request => (ErrorCode::InvalidJson, said),
            ModelErrorKind::ConfigMissing => (
                ErrorCode::MissingLabelConfig,
                format!(
                    "`label_config` is missing, no /setup brought one, and the model needs it ({said})"
                ),
            ),
            ModelErrorKind::ConfigMalformed => (
                ErrorCode::InvalidLabelConfig,
                format!("the labelling config cannot be read: {}", error.message),
            ),
        };
        let traceback = error.traceback;
        // Clients compare `detail` with the original's, so the task stands beside it.
        let task = error.task.map(|task| (TASK.to_owned(), task.into()));
        match error.answer {
            None => {
                Self { traceback, result: task.into_iter().collect(), ..Self::new(code, detail) }
            }
            Some(answer) => Self {
                status: StatusCode::from_u16(answer.status).unwrap_or(code.status()),
                traceback,
                result: task.into_iter().chain(answer.result).collect(),
                ..Self::new(ErrorCode::ModelAnswered, error.message)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::Map;

    use super::*;
    use crate::ids::JobId;
    use crate::store::jobs::JobState;
    use crate::wire::protocol::ErrorAnswer;

    fn model(kind: ModelErrorKind, answer: Option<ErrorAnswer>) -> ApiError {
        ApiError::from(ModelError {
            kind,
            class: "AnswerException".into(),
            message: "short and stout".into(),
            traceback: None,
            task: None,
            answer: answer.map(Box::new),
        })
    }

    #[test]
    fn a_status_that_user_code_asks_for_is_given() {
        let answer = ErrorAnswer { status: 418, result: Map::new() };
        let error = model(ModelErrorKind::Raised, Some(answer));
        assert_eq!((error.code, error.status), (ErrorCode::ModelAnswered, StatusCode::IM_A_TEAPOT));
        assert_eq!(error.detail, "short and stout");
        let error = model(ModelErrorKind::Raised, None);
        assert_eq!((error.code, error.status.as_u16()), (ErrorCode::ModelRaised, 500));
        assert_eq!(error.detail, "AnswerException: short and stout");
    }

    #[test]
    fn an_error_of_a_model_has_the_code_of_its_kind() {
        for (kind, code) in [
            (ModelErrorKind::Construct, ErrorCode::ModelNotConstructed),
            (ModelErrorKind::ConfigMissing, ErrorCode::MissingLabelConfig),
            (ModelErrorKind::ConfigMalformed, ErrorCode::InvalidLabelConfig),
            (ModelErrorKind::Raised, ErrorCode::ModelRaised),
            (ModelErrorKind::Result, ErrorCode::InvalidResult),
            (ModelErrorKind::Request, ErrorCode::InvalidJson),
            (ModelErrorKind::Unloaded, ErrorCode::ModelUnloaded),
            (ModelErrorKind::Cancelled, ErrorCode::PredictCancelled),
            (ModelErrorKind::App, ErrorCode::AppFailed),
        ] {
            assert_eq!(model(kind, None).code, code, "{kind:?}");
        }
    }

    fn sqlite(code: i32) -> DbError {
        let reason = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        DbError::Sqlite(Arc::new(reason))
    }

    fn io(kind: ErrorKind) -> StoreError {
        StoreError::Io { path: "state".into(), reason: io::Error::from(kind) }
    }

    #[test]
    fn an_error_of_a_disk_has_the_code_of_its_cause() {
        for (code, expected) in [
            (rusqlite::ffi::SQLITE_FULL, ErrorCode::StorageFull),
            (rusqlite::ffi::SQLITE_READONLY, ErrorCode::StorageReadOnly),
            (rusqlite::ffi::SQLITE_CORRUPT, ErrorCode::StorageFailed),
        ] {
            assert_eq!(ApiError::from(QueueError::Db(sqlite(code))).code, expected);
            assert_eq!(ApiError::from(ServingError::Keys(sqlite(code))).code, expected);
        }
        assert_eq!(ApiError::from(io(ErrorKind::StorageFull)).code, ErrorCode::StorageFull);
        assert_eq!(ApiError::from(io(ErrorKind::NotFound)).code, ErrorCode::StorageFailed);
        let error = ServingError::Store(io(ErrorKind::StorageFull));
        assert_eq!(ApiError::from(error).code, ErrorCode::StorageFull);
    }

    #[test]
    fn an_error_of_the_queue_or_of_serving_has_the_code_of_its_cause() {
        let id = JobId(7);
        for (error, code) in [
            (QueueError::Held(None), ErrorCode::ModelFolderInUse),
            (QueueError::Unusable("no".into()), ErrorCode::TrainingUnavailable),
            (QueueError::NoClass("no".into()), ErrorCode::ModelNotReady),
            (QueueError::Unknown("7".into()), ErrorCode::UnknownJob),
            (QueueError::Gone(id), ErrorCode::JobGone),
            (QueueError::TooLate { id, state: JobState::Lost }, ErrorCode::JobNotCancellable),
            (QueueError::Stopping, ErrorCode::ServerStopping),
        ] {
            assert_eq!(ApiError::from(error).code, code);
        }
        for (error, code) in [
            (ServingError::Busy(Duration::ZERO), ErrorCode::QueueTimeout),
            (ServingError::Frame(FrameError::BodyTooLong(1)), ErrorCode::BodyTooLarge),
            (ServingError::Frame(FrameError::UnknownKind(1)), ErrorCode::WorkerChannelFailed),
            (ServingError::CrashLooping("7".into()), ErrorCode::ModelCrashLooping),
            (ServingError::AppTooLong(Duration::ZERO), ErrorCode::AppTimeout),
        ] {
            assert_eq!(ApiError::from(error).code, code);
        }
    }

    #[tokio::test]
    async fn the_words_of_a_panic_are_for_the_log() {
        let ended = tokio::spawn(std::future::pending::<()>());
        ended.abort();
        let error = ApiError::from(ended.await.unwrap_err());
        assert_eq!(error.code, ErrorCode::InternalError);
        assert_eq!(error.detail, "a thread of the server ended early");
        assert!(error.internal.unwrap().contains("cancelled"));
    }
}
