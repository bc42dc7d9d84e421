use std::io::{Read, Write};
use std::net::TcpListener;

use super::super::ids::ProjectId;
use super::super::testing::FakeLabelStudio;
use super::super::token::tests::jwt;
use super::*;

const VERSION: &str = "/api/version";
const WHOAMI: &str = "/api/current-user/whoami";
const REFRESH: &str = "/api/token/refresh";
const ME: (u16, &str) = (200, r#"{"id": 1, "email": "me@example.com"}"#);

fn access(seconds: u64, name: &str) -> String {
    jwt("access", &format!(r#","iat":1000,"exp":{},"jti":"{name}""#, 1000 + seconds))
}

fn refreshed(token: &str) -> String {
    format!(r#"{{"access": "{token}"}}"#)
}

#[tokio::test]
async fn a_legacy_token_is_sent_as_it_is() {
    let fake = FakeLabelStudio::new().await;
    let connected = LabelStudio::connect(&fake.url, "a-key").await.unwrap();
    assert_eq!(connected.token_kind(), TokenKind::Legacy);
    assert_eq!(
        (connected.release(), connected.user().email.as_str()),
        ("1.23.2", "me@example.com")
    );
    assert_eq!(fake.seen(WHOAMI)[0].authorization, "Token a-key");
    // The server at the address may not be Label Studio until it has told its release.
    assert_eq!(fake.seen(VERSION)[0].authorization, "");
    assert!(!format!("{connected:?}").contains("a-key"));
}

#[tokio::test]
async fn a_personal_token_is_exchanged_once_while_the_access_token_is_valid() {
    let fake = FakeLabelStudio::new().await;
    let first = access(300, "first");
    fake.on(REFRESH, &[(200, &refreshed(&first))]);
    let personal = jwt("refresh", "");
    let connected = LabelStudio::connect(&fake.url, &personal).await.unwrap();
    connected.whoami().await.unwrap();
    assert_eq!(connected.token_kind(), TokenKind::Personal);
    let exchanges = fake.seen(REFRESH);
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].body, format!(r#"{{"refresh":"{personal}"}}"#));
    for seen in fake.seen(WHOAMI) {
        assert_eq!(seen.authorization, format!("Bearer {first}"));
    }
}

#[tokio::test]
async fn an_access_token_about_to_expire_is_replaced_before_it_is_used() {
    let fake = FakeLabelStudio::new().await;
    let (short, long) = (access(20, "short"), access(300, "long"));
    fake.on(REFRESH, &[(200, &refreshed(&short)), (200, &refreshed(&long))]);
    let connected = LabelStudio::connect(&fake.url, &jwt("refresh", "")).await.unwrap();
    connected.whoami().await.unwrap();
    let used: Vec<_> = fake.seen(WHOAMI).into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(used, [format!("Bearer {short}"), format!("Bearer {long}")]);
}

#[tokio::test]
async fn a_refused_access_token_is_replaced_once() {
    let fake = FakeLabelStudio::new().await;
    let (first, second) = (access(300, "first"), access(300, "second"));
    fake.on(REFRESH, &[(200, &refreshed(&first)), (200, &refreshed(&second))]);
    fake.on(WHOAMI, &[(401, r#"{"detail": "no"}"#), ME]);
    LabelStudio::connect(&fake.url, &jwt("refresh", "")).await.unwrap();
    let used: Vec<_> = fake.seen(WHOAMI).into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(used, [format!("Bearer {first}"), format!("Bearer {second}")]);

    fake.on(WHOAMI, &[(401, r#"{"detail": "no"}"#)]);
    let refused = LabelStudio::connect(&fake.url, &jwt("refresh", "")).await.unwrap_err();
    assert!(matches!(refused, LabelStudioError::UnknownToken(_)), "{refused}");
    assert_eq!(fake.seen(WHOAMI).len(), 4);
}

#[tokio::test]
async fn a_revoked_personal_token_is_reported() {
    let fake = FakeLabelStudio::new().await;
    fake.on(REFRESH, &[(401, r#"{"detail": "Token is invalid"}"#)]);
    let personal = jwt("refresh", "");
    let refused = LabelStudio::connect(&fake.url, &personal).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Label Studio does not accept this personal access token: \
         copy the API key again from Account & Settings"
    );
    assert!(!format!("{refused:?}").contains(&personal));
}

#[tokio::test]
async fn every_refusal_has_its_sentence() {
    let fake = FakeLabelStudio::new().await;
    let legacy = r#"{"detail": "Authentication token no longer valid: legacy token authentication has been disabled for this organization"}"#;
    for (status, body, key, sentence) in [
        (
            401,
            legacy,
            "k",
            "legacy tokens are switched off in Label Studio: use a personal access token",
        ),
        (401, r#"{"detail": "Invalid token."}"#, "k", "does not accept this API key"),
        (403, r#"{"detail": "You may not."}"#, "k", "forbids this to the owner of the API key"),
        (
            500,
            "<!doctype html>",
            "k",
            "answered 500 Internal Server Error to GET /api/current-user/whoami: an HTML page",
        ),
        (200, "{}", "k", "cannot be read: missing field `id`"),
        (401, "{}", "access", "no longer accepts this access token"),
    ] {
        fake.on(WHOAMI, &[(status, body)]);
        let key = if key == "access" { access(300, "x") } else { key.to_owned() };
        let error = LabelStudio::connect(&fake.url, &key).await.unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}

#[tokio::test]
async fn a_get_is_repeated_while_a_gateway_is_not_ready() {
    let fake = FakeLabelStudio::new().await;
    fake.on(WHOAMI, &[(502, ""), (503, ""), ME]);
    LabelStudio::connect(&fake.url, "k").await.unwrap();
    assert_eq!(fake.seen(WHOAMI).len(), 3);
    // A probe is not repeated.
    fake.on(WHOAMI, &[(502, ""), ME]);
    let error = fake.connect().await.unwrap_err();
    assert!(matches!(error, LabelStudioError::Status { .. }), "{error}");
}

#[tokio::test]
async fn a_request_that_changes_something_is_sent_once() {
    let fake = FakeLabelStudio::new().await;
    let connected = LabelStudio::connect(&fake.url, "k").await.unwrap();
    fake.on("/api/projects/1/import/predictions", &[(502, "")]);
    connected.import_predictions(ProjectId(1), &[]).await.unwrap_err();
    assert_eq!(fake.seen("/import/predictions").len(), 1);
}

#[tokio::test]
async fn a_base_path_stays_and_a_redirect_moves_the_base() {
    let fake = FakeLabelStudio::new().await;
    fake.on("/studio/api/version", &[(200, r#"{"release": "1.4.1"}"#)]);
    fake.on("/studio/api/current-user/whoami", &[ME]);
    let url = format!("{}/studio/", fake.url);
    let connected = LabelStudio::connect(&url, "k").await.unwrap();
    assert_eq!((connected.url(), connected.release()), (url.trim_end_matches('/'), "1.4.1"));

    let gateway = FakeLabelStudio::new().await;
    gateway.on(VERSION, &[(301, &format!("{}/studio/api/version/", fake.url))]);
    let connected = LabelStudio::connect(&gateway.url, "k").await.unwrap();
    assert_eq!(connected.url(), url.trim_end_matches('/'));
    assert!(gateway.seen(WHOAMI).is_empty());
}

#[tokio::test]
async fn another_program_at_the_address_is_reported() {
    let fake = FakeLabelStudio::new().await;
    fake.on(VERSION, &[(200, "<html>Welcome</html>")]);
    let error = fake.connect().await.unwrap_err().to_string();
    assert!(
        error.contains("is not Label Studio (/api/version does not name a release)"),
        "{error}"
    );
    fake.on(VERSION, &[(404, "")]);
    let error = fake.connect().await.unwrap_err().to_string();
    assert!(error.contains("is not Label Studio (/api/version answered 404"), "{error}");
}

/// Starts a thread that serves one connection; returns its port.
fn serve_once(serve: impl FnOnce(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    port
}

async fn failure_at(url: &str) -> LabelStudioError {
    let policy = RequestPolicy { timeout: Duration::from_millis(500), ..RequestPolicy::PROBE };
    LabelStudio::connect_with(url, "k", policy).await.unwrap_err()
}

#[tokio::test]
async fn kinds_of_failed_connections_are_distinguished() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure_at(&format!("http://{free}")).await;
    assert!(matches!(error, LabelStudioError::Refused { .. }), "{error:?}");

    // Longer than a name may be, so that it fails without a name server.
    let error = failure_at(&format!("http://{}.invalid", "a".repeat(64))).await;
    assert!(matches!(error, LabelStudioError::UnknownHost { .. }), "{error:?}");

    let silent = serve_once(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = failure_at(&format!("http://127.0.0.1:{silent}")).await;
    assert!(matches!(error, LabelStudioError::Timeout { .. }), "{error:?}");

    let closes = serve_once(drop);
    let error = failure_at(&format!("http://127.0.0.1:{closes}")).await;
    assert!(matches!(error, LabelStudioError::Connection { .. }), "{error:?}");

    let plain = serve_once(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = failure_at(&format!("https://127.0.0.1:{plain}")).await;
    assert!(matches!(error, LabelStudioError::NoTls { .. }), "{error:?}");
}
