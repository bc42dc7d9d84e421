//! Prints what a job has printed. The server keeps the end of it.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use super::JobNumber;
use crate::cli::remote::RemoteServer;

/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(700);
/// Number of bytes by which the place is found up to which the output was shown.
const OVERLAP: usize = 400;

pub(super) async fn print(server: &RemoteServer, job: &JobNumber, follow: bool) -> Result<i32> {
    let mut shown = String::new();
    loop {
        // Asked first, so that nothing is missed of a job that ends in between.
        let is_over = match server.ask(Method::GET, &format!("/jobs/{job}"), None).await? {
            Ok(job) => !job["ended_at"].is_null(),
            Err(refusal) => return Ok(RemoteServer::refuse(&refusal.detail)),
        };
        let log = match server.text(&format!("/jobs/{job}/log")).await? {
            Ok(log) => log,
            Err(refusal) => return Ok(RemoteServer::refuse(&refusal.detail)),
        };
        if !follow {
            let answer = json!({ "job": job.to_string(), "log": log });
            server.print(&answer, || log.clone())?;
            return Ok(0);
        }
        let mut out = std::io::stdout();
        let written = out.write_all(news(&shown, &log).as_bytes()).and_then(|()| out.flush());
        // Nobody reads on.
        if written.is_err() || is_over {
            return Ok(0);
        }
        shown = log;
        sleep(PAUSE).await;
    }
}

/// The part of the output that was not shown yet.
fn news<'a>(shown: &str, log: &'a str) -> &'a str {
    if let Some(rest) = log.strip_prefix(shown) {
        return rest;
    }
    let mut from = shown.len().saturating_sub(OVERLAP);
    while !shown.is_char_boundary(from) {
        from += 1;
    }
    let end = &shown[from..];
    log.rfind(end).map_or(log, |place| &log[place + end.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_shown() {
        assert_eq!(news("", "a\n"), "a\n");
        assert_eq!(news("a\n", "a\nb\n"), "b\n");
        let lines: Vec<String> = (0..1000).map(|line| format!("line {line} é")).collect();
        let place = |line: usize| lines[..line].iter().map(|line| line.len() + 1).sum::<usize>();
        let (long, from, to) = (lines.join("\n"), place(400), place(900));
        assert_eq!(news(&long[..to], &long[from..]), &long[to..]);
        assert_eq!(news("x\n", "another log\n"), "another log\n");
    }
}
