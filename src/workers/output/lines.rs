//! Splitting a pipe into lines, and into the states of a progress bar that overwrite each other.

use memchr::memchr3;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::wire::record;

/// First byte of a record.
const RECORD: u8 = record::RECORD_MARK as u8;

/// Maximum length of a line in bytes; the rest is dropped.
const LONGEST_LINE: usize = 64 << 10;

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OutputPiece {
    Line(String),
    /// A carriage return followed: on a terminal the next piece would be written over it.
    Overwritten(String),
}

/// Reads pieces, and keeps what it has read of an unfinished one between calls.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    piece: Vec<u8>,
    returned: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(pipe: R) -> Self {
        Self { reader: BufReader::new(pipe), piece: Vec::new(), returned: false }
    }

    /// The next piece, cut after 64 KiB; none at the end. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<OutputPiece> {
        loop {
            let chunk = match self.reader.fill_buf().await {
                Ok(chunk) if !chunk.is_empty() => chunk,
                _ if self.piece.is_empty() => return None,
                _ => return Some(OutputPiece::Line(take(&mut self.piece))),
            };
            if self.returned && chunk[0] != b'\n' && chunk[0] != b'\r' {
                self.returned = false;
                if !self.piece.is_empty() {
                    return Some(OutputPiece::Overwritten(take(&mut self.piece)));
                }
            }
            // A record begins a line, also after output that has not ended its own.
            let begun = usize::from(self.piece.is_empty());
            let end = memchr3(b'\n', b'\r', RECORD, &chunk[begun..]).map(|end| end + begun);
            let end = if begun == 1 && matches!(chunk[0], b'\n' | b'\r') { Some(0) } else { end };
            let taken = end.unwrap_or(chunk.len());
            let room = LONGEST_LINE.saturating_sub(self.piece.len()).min(taken);
            self.piece.extend_from_slice(&chunk[..room]);
            let by = end.map(|end| chunk[end]);
            // The first byte of a record is the record's.
            self.reader.consume(taken + usize::from(matches!(by, Some(b'\n' | b'\r'))));
            if matches!(by, Some(b'\n' | RECORD)) {
                self.returned = false;
                return Some(OutputPiece::Line(take(&mut self.piece)));
            }
            self.returned |= end.is_some();
        }
    }
}

fn take(piece: &mut Vec<u8>) -> String {
    let text = String::from_utf8_lossy(piece).into_owned();
    piece.clear();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pieces(input: &[u8]) -> Vec<OutputPiece> {
        let mut lines = Lines::new(input);
        let mut pieces = Vec::new();
        while let Some(piece) = lines.next().await {
            pieces.push(piece);
        }
        pieces
    }

    #[tokio::test]
    async fn an_endless_line_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; 3 * LONGEST_LINE];
        input.extend_from_slice(b"\r\nnext\n\nlast");
        let found = pieces(&input).await;
        assert_eq!(found[0], OutputPiece::Line("x".repeat(LONGEST_LINE)));
        let rest = ["next", "", "last"].map(|text| OutputPiece::Line(text.into()));
        assert_eq!(found[1..], rest);
    }

    #[tokio::test]
    async fn a_record_begins_a_line() {
        let found = pieces("unfinished\u{1e}\u{1f}INFO\u{1f}next\n\u{1e}x\n".as_bytes()).await;
        let expected = ["unfinished", "\u{1e}\u{1f}INFO\u{1f}next", "\u{1e}x"];
        assert_eq!(found, expected.map(|text| OutputPiece::Line(text.into())));
        let mut long = vec![b'x'; 2 * LONGEST_LINE];
        long.extend_from_slice("\u{1e}record\n".as_bytes());
        assert_eq!(pieces(&long).await[1], OutputPiece::Line("\u{1e}record".into()));
    }

    #[tokio::test]
    async fn states_of_a_bar_overwrite_each_other() {
        let found = pieces(b"\r 10%\r 20%\r\r 30%\ndone\n").await;
        let states = [" 10%", " 20%"].map(|text| OutputPiece::Overwritten(text.into()));
        assert_eq!(found[..2], states);
        assert_eq!(found[2..], [" 30%", "done"].map(|text| OutputPiece::Line(text.into())));
    }
}
