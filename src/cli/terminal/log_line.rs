//! A line of the log for a person at a terminal: `14:03:58 WARN cannot be loaded project="1"`.
//!
//! No date and no module path; the level only where it is not `info`; `model:` before what user code printed
//! or logged. Elsewhere the log has the usual format of `tracing`, for collectors.

use std::fmt;

use clap::builder::styling::{AnsiColor, Effects, Style};
use jiff::ZonedDateTime;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The target of what user code printed and logged.
const MODEL: &str = "model";

pub(super) struct TerminalLine;

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

    /// The lines of a log, each without its time.
    fn lines(has_colour: bool, work: impl FnOnce()) -> Vec<String> {
        let written = LogBuffer::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(has_colour)
            .event_format(TerminalLine)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let escapes = if has_colour { ("\x1b[2m".len(), "\x1b[0m ".len()) } else { (0, 1) };
        let timeless = |line: &str| {
            let time = &line[escapes.0..][.."14:03:58".len()];
            assert_eq!(time.bytes().filter(|&byte| byte == b':').count(), 2, "{line}");
            line[escapes.0 + time.len() + escapes.1..].to_owned()
        };
        text.lines().map(timeless).collect()
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
    fn levels_are_coloured_where_colours_are_shown() {
        let lines = lines(true, log);
        assert!(lines[0].starts_with("ready"), "{lines:?}");
        assert!(lines[1].starts_with("\x1b[33mWARN\x1b[0m slow"), "{lines:?}");
    }
}
