//! A line of the log for a person at a terminal: `14:03:58 WARN cannot be loaded project="1"`.
//!
//! No date and no module path; the level only where it is not `info`; `model:` before what user code printed
//! or logged. A line of [`activity`] begins with its first word in a column, `14:03:58 predicted  1 task, 12 ms`,
//! and has no fields. Elsewhere the log has the usual format of `tracing`, for collectors.

use std::fmt;

use clap::builder::styling::{AnsiColor, Effects, Style};
use jiff::ZonedDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::printable;
use crate::activity;

/// The target of what user code printed and logged.
const MODEL: &str = "model";

/// Width of the first word of a line of activity.
const WORD_WIDTH: usize = 9;

pub(super) struct TerminalLine;

/// The text of an event without its fields.
#[derive(Default)]
struct EventText(String);

impl Visit for EventText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S, N> FormatEvent<S, N> for TerminalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let has_colour = writer.has_ansi_escapes();
        let mut styled = |text: &str, style: Style| {
            let style = if has_colour { style } else { Style::new() };
            write!(writer, "{style}{text}{style:#} ")
        };
        let now = ZonedDateTime::now().strftime("%H:%M:%S").to_string();
        styled(&now, Style::new().effects(Effects::DIMMED))?;
        let metadata = event.metadata();
        let level = *metadata.level();
        if metadata.target().starts_with(activity::TARGET) {
            let mut text = EventText::default();
            event.record(&mut text);
            let (word, rest) = text.0.split_once(' ').unwrap_or((&text.0, ""));
            styled(&format!("{word:WORD_WIDTH$}"), event_colour(level))?;
            return writeln!(writer, " {}", printable(rest));
        }
        if level != Level::INFO {
            styled(level.as_str(), colour(level))?;
        }
        if metadata.target() == MODEL {
            styled("model:", Style::new().effects(Effects::BOLD))?;
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The colour of what happened: green unless something is wrong.
fn event_colour(level: Level) -> Style {
    if level == Level::INFO { AnsiColor::Green.on_default() } else { colour(level) }
}

fn colour(level: Level) -> Style {
    match level {
        Level::ERROR => AnsiColor::Red.on_default().effects(Effects::BOLD),
        Level::WARN => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Blue.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, warn};

    use super::*;
    use crate::ids::JobId;

    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for LogBuffer {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(has_colour: bool, work: impl FnOnce()) -> String {
        let written = LogBuffer::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(has_colour)
            .event_format(TerminalLine)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of a log, each without its time.
    fn lines(has_colour: bool, work: impl FnOnce()) -> Vec<String> {
        let text = written(has_colour, work);
        let escapes = if has_colour { ("\x1b[2m".len(), "\x1b[0m ".len()) } else { (0, 1) };
        let timeless = |line: &str| {
            let time = &line[escapes.0..][.."14:03:58".len()];
            assert_eq!(time.bytes().filter(|&byte| byte == b':').count(), 2, "{line}");
            line[escapes.0 + time.len() + escapes.1..].to_owned()
        };
        text.lines().take_while(|line| line.contains(':')).map(timeless).collect()
    }

    fn log() {
        info!(worker = "a", "ready");
        warn!("slow");
        debug!("retried");
        info!(target: "model", "epoch 1");
    }

    #[test]
    fn a_line_has_what_a_person_needs_and_no_module_path() {
        assert_eq!(
            lines(false, log),
            ["ready worker=\"a\"", "WARN slow", "DEBUG retried", "model: epoch 1"]
        );
    }

    #[test]
    fn what_happened_stands_in_a_column_without_fields() {
        let happen = || {
            activity::activated(&"1.17".into(), "0.0.1+1");
            activity::training_failed(&"1.17".into(), JobId(7), "Odd: no", Some("  line\nOdd: no"));
        };
        assert_eq!(lines(false, happen)[0], "activated  version 0.0.1+1 of project 1",);
        let coloured = written(true, happen);
        assert!(coloured.contains("\x1b[32mactivated\x1b[0m  version"), "{coloured}");
        assert!(coloured.ends_with("training project 1\n  line\nOdd: no\n"), "{coloured}");
    }

    #[test]
    fn what_a_client_sent_does_not_command_the_terminal() {
        let project = "1\u{1b}]0;x\u{7}\n2026 INFO forged\u{1b}[2J.17".into();
        let shown = written(false, || {
            activity::activated(&project, "1\u{1b}[2J");
            activity::training_failed(
                &project,
                JobId(7),
                "Odd: \u{1b}[2J",
                Some("  line\nOdd: \u{1b}[2J"),
            );
        });
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
        assert!(shown.lines().all(|line| !line.starts_with("2026")), "{shown}");
    }

    #[test]
    fn levels_are_coloured_where_colours_are_shown() {
        let lines = lines(true, log);
        assert!(lines[0].starts_with("ready"), "{lines:?}");
        assert!(lines[1].starts_with("\x1b[33mWARN\x1b[0m slow"), "{lines:?}");
    }
}
