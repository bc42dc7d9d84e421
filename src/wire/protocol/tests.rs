//! One snapshot for each message, so that no change of the wire goes unseen.

use serde_json::json;

use super::*;
use crate::labelling::check::Places;
use crate::wire::api_version::ApiVersion;

fn spec() -> ModelSpec {
    ModelSpec {
        id: ModelId(3),
        project: "2.1795430965".into(),
        label_config: Some("<View/>".into()),
        version: "1795431326".into(),
        connection: Some(LabelStudioConnection {
            hostname: "http://127.0.0.1:8080".into(),
            access_token: "secret".into(),
        }),
    }
}

fn names() -> VersionNames {
    VersionNames { served: "0.0.1+1795431326".into(), own: vec!["0.0.1".into()] }
}

fn head(target: &str) -> HttpHead {
    HttpHead { target: target.into(), headers: "authorization: Token secret\n".into() }
}

fn app_request(client: Option<&str>) -> AppRequest {
    AppRequest { method: "POST".into(), head: head("/predict"), client: client.map(Into::into) }
}

#[test]
fn messages_to_a_worker() {
    let messages = [
        ToWorker::Configure(Configure {
            role: WorkerRole::Predict,
            source: ClassSource::Script { path: "p/model.py".into(), class: Some("Model".into()) },
            cwd: "/home/user".into(),
            model_dir: Some("/models".into()),
            init_kwargs: json!({"n": 1}).as_object().cloned().unwrap_or_default(),
            threads: 8,
            log_level: Some("INFO".into()),
            train_nice: Some(10),
            check: false,
            fresh_instances: true,
            max_batch_size: 64,
            allow_hosts: Some("*.example.com".into()),
            arguments: vec!["--weights".into(), "best.pt".into()],
            secrets: Secrets([("BASIC_AUTH_PASS".to_owned(), "secret".to_owned())].into()),
        }),
        ToWorker::Configure(Configure {
            role: WorkerRole::Train,
            source: ClassSource::Wsgi { path: "p/_wsgi.py".into() },
            cwd: "/home/user".into(),
            model_dir: None,
            init_kwargs: serde_json::Map::new(),
            threads: 1,
            log_level: None,
            train_nice: None,
            check: true,
            fresh_instances: false,
            max_batch_size: 0,
            allow_hosts: None,
            arguments: Vec::new(),
            secrets: Secrets::default(),
        }),
        ToWorker::Load {
            request: Some(RequestId(1)),
            model: spec(),
            renew: false,
            names: names(),
            train_output: 2,
            setup: Some(head("/setup")),
        },
        ToWorker::Load {
            request: None,
            model: spec(),
            renew: false,
            names: names(),
            train_output: 0,
            setup: None,
        },
        ToWorker::Name { model: ModelId(3), names: names() },
        ToWorker::Unload { model: ModelId(3) },
        ToWorker::Predict {
            request: RequestId(2),
            model: ModelId(3),
            force_reload: false,
            http: head("/predict"),
            batch: None,
        },
        ToWorker::Predict {
            request: RequestId(3),
            model: ModelId(3),
            force_reload: false,
            http: head("/predict"),
            batch: Some(Batchable { tasks: 2, params: "{\"login\":null}".into() }),
        },
        ToWorker::Cancel { request: RequestId(2) },
        ToWorker::Withdraw { request: RequestId(3) },
        ToWorker::Fit {
            request: RequestId(3),
            model: ModelId(3),
            job: FitJob {
                id: "1795431327".into(),
                workdir: "/models/2.1795430965/1795431327".into(),
                event: Some("ANNOTATION_CREATED".into()),
            },
        },
        ToWorker::KeyAnswer { request: RequestId(1), outcome: KeyOutcome::Found },
        ToWorker::KeyAnswer { request: RequestId(2), outcome: KeyOutcome::Absent },
        ToWorker::KeyAnswer { request: RequestId(3), outcome: KeyOutcome::Done },
        ToWorker::KeyAnswer { request: RequestId(4), outcome: KeyOutcome::NotKept },
        ToWorker::KeyAnswer {
            request: RequestId(5),
            outcome: KeyOutcome::Failed("disk full".into()),
        },
        ToWorker::AppRequest { request: RequestId(4), asked: app_request(Some("192.0.2.1")) },
        ToWorker::RouteAnswer {
            request: RequestId(6),
            answer: AppAnswer {
                status: 400,
                reason: Some("`tasks` is missing".into()),
                headers: vec![("content-type".into(), "application/json".into())],
            },
        },
        ToWorker::Shutdown,
    ];
    insta::assert_json_snapshot!("to_worker", messages);
    for message in messages {
        let wire = serde_json::to_vec(&message).unwrap();
        assert_eq!(serde_json::from_slice::<ToWorker>(&wire).unwrap(), message);
    }
}

#[test]
fn messages_from_a_worker() {
    let messages = [
        FromWorker::Hello { protocol: PROTOCOL, pid: 42, python: "3.11.7".into() },
        FromWorker::ClassReady(ClassInfo {
            class: "Model".into(),
            api: ApiVersion::V1,
            reason: "fit(tasks, workdir, ...)".into(),
            model_dir: "/models".into(),
            script: None,
            thread_safe: true,
            train_events: vec!["ANNOTATION_CREATED".into()],
            wants_every_event: false,
            uses_context: false,
            reads_config: false,
            basic_auth: Some(BasicAuth { user: "user".into(), password: "secret".into() }),
            app: Some(UserApp {
                sees_all: true,
                replaced: vec!["POST /predict".into()],
                is_wrapped: false,
                summary: "a before_request hook".into(),
            }),
            inspection: Some(Inspection {
                companions: vec!["helpers.py".into()],
                left_out: vec!["data".into()],
                requirements: "numpy>=2\n".into(),
            }),
        }),
        FromWorker::ClassFailed(ImportFailure {
            kind: ImportFailureKind::Raised,
            message: "ModuleNotFoundError: No module named 'torch'".into(),
            traceback: Some("  File \"model.py\", line 1".into()),
        }),
        FromWorker::Loaded { request: RequestId(1) },
        FromWorker::Predicted { request: RequestId(2), tasks: 4, mended: Mended::default() },
        FromWorker::Predicted {
            request: RequestId(2),
            tasks: 4,
            mended: Mended {
                null_items: Some(Places { first: "results[1]".into(), count: 3 }),
                null_versions: None,
            },
        },
        FromWorker::Fitted { request: RequestId(3) },
        FromWorker::Failed {
            request: RequestId(4),
            error: ModelError {
                kind: ModelErrorKind::Raised,
                class: "KeyError".into(),
                message: "'sentiment'".into(),
                traceback: None,
                task: None,
                answer: Some(Box::new(ErrorAnswer { status: 418, result: serde_json::Map::new() })),
            },
        },
        FromWorker::Key {
            request: RequestId(1),
            ask: KeyOperation::Set,
            project: "2".into(),
            key: "prompt".into(),
        },
        FromWorker::Heartbeat { interpreter_ms: 0, loading: false },
        FromWorker::AppAnswered {
            request: RequestId(4),
            answer: AppAnswer { status: 204, reason: None, headers: Vec::new() },
        },
        FromWorker::Route {
            request: RequestId(6),
            on_behalf_of: Some(RequestId(4)),
            asked: app_request(None),
            same_body: true,
        },
    ];
    insta::assert_json_snapshot!("from_worker", messages);
    for message in messages {
        let wire = serde_json::to_vec(&message).unwrap();
        assert_eq!(serde_json::from_slice::<FromWorker>(&wire).unwrap(), message);
    }
}

#[test]
fn a_token_is_not_printed() {
    let secrets = Secrets([("BASIC_AUTH_PASS".to_owned(), "secret".to_owned())].into());
    let password = BasicAuth { user: "user".into(), password: "secret".into() };
    for printed in [
        format!("{:?}", spec()),
        format!("{:?}", head("/predict")),
        format!("{:?}", app_request(None)),
        format!("{secrets:?} {password:?}"),
    ] {
        assert!(!printed.contains("secret"), "{printed}");
    }
}
