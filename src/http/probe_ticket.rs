//! A ticket by which `doctor` tries this server without filling its log: it asks as Label Studio would, also
//! without the password, and those refusals are none that an administrator should look into.
//!
//! Only the answer to a request that was let in gives the ticket, so a stranger who guesses passwords cannot
//! keep that out of the log. Where no password is set there is nothing to guess but the webhook token; there
//! it quietens the one probe that brings none.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use super::admission::rules::AccessRules;
use super::webhook_token::hash;

/// Brings the ticket, or asks for it; the answer brings it too.
const PROBE: HeaderName = HeaderName::from_static("x-label-studio-ml-probe");
const ASKING: &str = "ask";

/// The ticket of this process; none if the system has no random numbers.
#[derive(Debug, Clone)]
pub(super) struct ProbeTicket(Option<HeaderValue>);

/// What a request is, as far as tickets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// It brings the ticket.
    Known,
    /// It asks for one.
    Asking,
    None,
}

impl ProbeTicket {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 16];
        let filled = SystemRandom::new().fill(&mut bytes);
        let number = u128::from_ne_bytes(bytes);
        let ticket =
            filled.ok().and_then(|()| HeaderValue::try_from(format!("{number:032x}")).ok());
        Self(ticket)
    }

    pub(super) fn look_at(&self, request: &Request) -> Probe {
        match (request.headers().get(PROBE), &self.0) {
            (Some(given), _) if given == ASKING => Probe::Asking,
            (Some(given), Some(ticket))
                if bool::from(hash(given.as_bytes()).ct_eq(&hash(ticket.as_bytes()))) =>
            {
                Probe::Known
            }
            _ => Probe::None,
        }
    }

    /// Whether a refusal of a request is not worth a warning.
    pub(super) fn quietens(probe: Probe, rules: Option<&AccessRules>, request: &Request) -> bool {
        let has_password = rules.is_some_and(|rules| rules.credentials.is_some());
        let is_event_probe = request.method() == Method::GET && request.uri().path() == "/webhook";
        probe == Probe::Known && (has_password || is_event_probe)
    }

    /// Gives the ticket to a request that was let in to /health. A program that checks requests itself may
    /// let in all.
    pub(super) fn give(
        &self,
        probe: Probe,
        path: &str,
        rules: Option<&AccessRules>,
        response: &mut Response,
    ) {
        let is_let_in = path == "/health" && response.status() == StatusCode::OK;
        if let Some(ticket) = &self.0
            && probe == Probe::Asking
            && is_let_in
            && rules.is_some_and(|rules| !rules.has_gate())
        {
            response.headers_mut().insert(PROBE, ticket.clone());
        }
    }
}
