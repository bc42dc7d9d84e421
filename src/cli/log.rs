//! Writes the log to stderr, on a thread of its own.
//!
//! In: whole lines, from any thread. The program that reads stderr may be slow, or not read at all (`| less`,
//! a log collector that hangs); then lines are lost and counted, but a thread that logs never waits.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

use indicatif::MultiProgress;

/// Maximum size of all lines that wait to be written, in bytes; further lines are lost.
const MOST_WAITING: usize = 4 << 20;
/// Longest time that a command waits at its end for lines that are still to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

enum LogPiece {
    Line(Vec<u8>),
    /// Everything before it has been written.
    Mark(Sender<()>),
}

#[derive(Debug, Default)]
struct Backlog {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

struct Log {
    pieces: Sender<LogPiece>,
    backlog: Arc<Backlog>,
}

static LOG: OnceLock<Option<Log>> = OnceLock::new();

/// The log and the bars share a terminal: lines of the log appear above the bars.
pub(super) static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A writer that never fails and never waits: a closed pipe, a full disk or a slow reader only loses lines.
pub(super) struct Unfailing;

impl Write for Unfailing {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match log() {
            Some(log) => log.take(line),
            None => put(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether stderr is a terminal, so that a person reads it.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Writes a text of several lines, in one piece and in its turn.
pub(super) fn write_block(text: &str) {
    // It cannot fail.
    let _ = Unfailing.write(text.as_bytes());
}

/// Waits until everything logged before is written, for at most [`LAST_LINES`].
pub(super) fn flush() {
    // A command that was interrupted leaves none of its bars behind.
    let _ = BARS.clear();
    if let Some(Some(log)) = LOG.get() {
        let (written, mark) = mpsc::channel();
        if log.pieces.send(LogPiece::Mark(written)).is_ok() {
            let _ = mark.recv_timeout(LAST_LINES);
        }
    }
}

fn log() -> Option<&'static Log> {
    let begin = || {
        let (pieces, arriving) = mpsc::channel();
        let backlog = Arc::new(Backlog::default());
        let counted = Arc::clone(&backlog);
        let writer = thread::Builder::new().name("log".into());
        // Without this thread, each thread that logs writes its lines itself.
        writer.spawn(move || write_all(&arriving, &counted)).ok()?;
        Some(Log { pieces, backlog })
    };
    LOG.get_or_init(begin).as_ref()
}

impl Log {
    fn take(&self, line: &[u8]) {
        let before = self.backlog.bytes.fetch_add(line.len(), Ordering::Relaxed);
        let fits = before + line.len() <= MOST_WAITING;
        if !fits || self.pieces.send(LogPiece::Line(line.to_vec())).is_err() {
            self.backlog.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.backlog.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(arriving: &Receiver<LogPiece>, backlog: &Backlog) {
    while let Ok(piece) = arriving.recv() {
        match piece {
            LogPiece::Line(line) => {
                put(&line);
                backlog.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                let lost = backlog.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    put(format!(
                        "{lost} lines of the log were lost because they are read too slowly\n"
                    )
                    .as_bytes());
                }
            }
            LogPiece::Mark(written) => {
                let _ = written.send(());
            }
        }
    }
}

/// Writes a line to stderr, above the bars if it is a terminal.
fn put(line: &[u8]) {
    let write = || {
        let _ = io::stderr().write_all(line);
    };
    if is_watched() {
        BARS.suspend(write);
    } else {
        write();
    }
}
