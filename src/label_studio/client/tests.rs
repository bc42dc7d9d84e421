use std::io::{Read, Write};
use std::net::TcpListener;

use super::super::testing::Fake;
use super::super::token::tests::jwt;
use super::*;

const VERSION: &str = "/api/version";
const WHOAMI: &str = "/api/current-user/whoami";
const REFRESH: &str = "/api/token/refresh";
const ME: (u16, &str) = (200, r#"{"id": 1, "email": "me@example.com"}"#);

fn access(seconds: u64, name: &str) -> String {
    jwt("access", &format!(r#","iat":1000,"exp":{},"jti":"{name}""#, 1000 + seconds))
}

fn traded(token: &str) -> String {
    format!(r#"{{"access": "{token}"}}"#)
}

#[tokio::test]
async fn a_legacy_token_is_sent_as_it_is() {
    let fake = Fake::new().await;
    let connected = LabelStudio::connect(&fake.url, "a-key").await.unwrap();
    assert_eq!(connected.token_kind(), Kind::Legacy);
    assert_eq!(
        (connected.version(), connected.user().email.as_str()),
        ("1.23.2", "me@example.com")
    );
    assert_eq!(fake.seen(WHOAMI)[0].authorization, "Token a-key");
    // Whoever is there first learns no token.
    assert_eq!(fake.seen(VERSION)[0].authorization, "");
    assert!(!format!("{connected:?}").contains("a-key"));
}

#[tokio::test]
async fn a_personal_token_is_traded_once_while_it_lasts() {
    let fake = Fake::new().await;
    let first = access(300, "first");
    fake.on(REFRESH, &[(200, &traded(&first))]);
    let personal = jwt("refresh", "");
    let connected = LabelStudio::connect(&fake.url, &personal).await.unwrap();
    connected.whoami().await.unwrap();
    assert_eq!(connected.token_kind(), Kind::Personal);
    let trades = fake.seen(REFRESH);
    assert_eq!(trades.len(), 1);
    assert_eq!(trades[0].body, format!(r#"{{"refresh":"{personal}"}}"#));
    for seen in fake.seen(WHOAMI) {
        assert_eq!(seen.authorization, format!("Bearer {first}"));
    }
}

#[tokio::test]
async fn an_access_token_that_ends_is_replaced_before_it_is_used() {
    let fake = Fake::new().await;
    let (short, long) = (access(20, "short"), access(300, "long"));
    fake.on(REFRESH, &[(200, &traded(&short)), (200, &traded(&long))]);
    let connected = LabelStudio::connect(&fake.url, &jwt("refresh", "")).await.unwrap();
    connected.whoami().await.unwrap();
    let used: Vec<_> = fake.seen(WHOAMI).into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(used, [format!("Bearer {short}"), format!("Bearer {long}")]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let fake = Fake::new().await;
    let (first, second) = (access(300, "first"), access(300, "second"));
    fake.on(REFRESH, &[(200, &traded(&first)), (200, &traded(&second))]);
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
async fn a_personal_token_that_was_revoked_is_told() {
    let fake = Fake::new().await;
    fake.on(REFRESH, &[(401, r#"{"detail": "Token is invalid"}"#)]);
    let personal = jwt("refresh", "");
    let refused = LabelStudio::connect(&fake.url, &personal).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Label Studio knows nobody with this personal access token: \
         copy the API key again from Account & Settings"
    );
    assert!(!format!("{refused:?}").contains(&personal));
}

#[tokio::test]
async fn every_refusal_has_its_sentence() {
    let fake = Fake::new().await;
    let legacy = r#"{"detail": "Authentication token no longer valid: legacy token authentication has been disabled for this organization"}"#;
    for (status, body, key, sentence) in [
        (401, legacy, "k", "legacy tokens switched off: use a personal access token"),
        (401, r#"{"detail": "Invalid token."}"#, "k", "knows nobody with this API key"),
        (403, r#"{"detail": "You may not."}"#, "k", "forbids this to the owner of the API key"),
        (
            500,
            "<!doctype html>",
            "k",
            "answered 500 Internal Server Error to GET /api/current-user/whoami: an HTML page",
        ),
        (200, "{}", "k", "cannot be read: missing field `id`"),
        (401, "{}", "access", "no longer takes this access token"),
    ] {
        fake.on(WHOAMI, &[(status, body)]);
        let key = if key == "access" { access(300, "x") } else { key.to_owned() };
        let told = LabelStudio::connect(&fake.url, &key).await.unwrap_err().to_string();
        assert!(told.contains(sentence), "{told}");
    }
}

#[tokio::test]
async fn reading_outlasts_a_gateway_that_is_not_ready() {
    let fake = Fake::new().await;
    fake.on(WHOAMI, &[(502, ""), (503, ""), ME]);
    LabelStudio::connect(&fake.url, "k").await.unwrap();
    assert_eq!(fake.seen(WHOAMI).len(), 3);
    // A look does not wait.
    fake.on(WHOAMI, &[(502, ""), ME]);
    let told = fake.connect().await.unwrap_err();
    assert!(matches!(told, LabelStudioError::Status { .. }), "{told}");
}

#[tokio::test]
async fn what_changes_something_is_sent_once() {
    let fake = Fake::new().await;
    let connected = LabelStudio::connect(&fake.url, "k").await.unwrap();
    fake.on("/api/projects/1/import/predictions", &[(502, "")]);
    connected.import_predictions(1, &[]).await.unwrap_err();
    assert_eq!(fake.seen("/import/predictions").len(), 1);
}

#[tokio::test]
async fn a_base_path_stays_and_a_redirect_moves_the_base() {
    let fake = Fake::new().await;
    fake.on("/studio/api/version", &[(200, r#"{"release": "1.4.1"}"#)]);
    fake.on("/studio/api/current-user/whoami", &[ME]);
    let url = format!("{}/studio/", fake.url);
    let connected = LabelStudio::connect(&url, "k").await.unwrap();
    assert_eq!((connected.url(), connected.version()), (url.trim_end_matches('/'), "1.4.1"));

    let door = Fake::new().await;
    door.on(VERSION, &[(301, &format!("{}/studio/api/version/", fake.url))]);
    let connected = LabelStudio::connect(&door.url, "k").await.unwrap();
    assert_eq!(connected.url(), url.trim_end_matches('/'));
    assert!(door.seen(WHOAMI).is_empty());
}

#[tokio::test]
async fn somebody_else_at_the_address_is_told() {
    let fake = Fake::new().await;
    fake.on(VERSION, &[(200, "<html>Welcome</html>")]);
    let told = fake.connect().await.unwrap_err().to_string();
    assert!(told.contains("is no Label Studio (/api/version names no release)"), "{told}");
    fake.on(VERSION, &[(404, "")]);
    let told = fake.connect().await.unwrap_err().to_string();
    assert!(told.contains("is no Label Studio (/api/version is answered with 404"), "{told}");
}

/// A port at which a thread does this with the first connection.
fn raw(serve: impl FnOnce(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    port
}

async fn fails(url: &str) -> LabelStudioError {
    let patience = Patience { answer: Duration::from_millis(500), ..Patience::LOOK };
    LabelStudio::connect_with(url, "k", patience).await.unwrap_err()
}

#[tokio::test]
async fn connections_that_fail_are_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = fails(&format!("http://{free}")).await;
    assert!(matches!(told, LabelStudioError::Refused { .. }), "{told:?}");

    // Longer than a name may be, so that no server has to be asked.
    let told = fails(&format!("http://{}.invalid", "a".repeat(64))).await;
    assert!(matches!(told, LabelStudioError::UnknownHost { .. }), "{told:?}");

    let silent = raw(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let told = fails(&format!("http://127.0.0.1:{silent}")).await;
    assert!(matches!(told, LabelStudioError::Timeout { .. }), "{told:?}");

    let closes = raw(drop);
    let told = fails(&format!("http://127.0.0.1:{closes}")).await;
    assert!(matches!(told, LabelStudioError::Connection { .. }), "{told:?}");

    let plain = raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let told = fails(&format!("https://127.0.0.1:{plain}")).await;
    assert!(matches!(told, LabelStudioError::NoTls { .. }), "{told:?}");
}
