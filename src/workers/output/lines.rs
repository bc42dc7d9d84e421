//! Splitting a pipe into lines, and into the states of a progress bar that overwrite each other.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::record::RECORD;

const LONGEST_LINE: usize = 64 << 10;

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Line(String),
    /// A carriage return followed: on a terminal the next piece would be written over it.
    Overwritten(String),
}

/// Reads pieces. What was read of an unfinished one is kept between calls.
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
    pub(super) async fn next(&mut self) -> Option<Piece> {
        loop {
            let chunk = match self.reader.fill_buf().await {
                Ok(chunk) if !chunk.is_empty() => chunk,
                _ if self.piece.is_empty() => return None,
                _ => return Some(Piece::Line(take(&mut self.piece))),
            };
            if self.returned && chunk[0] != b'\n' && chunk[0] != b'\r' {
                self.returned = false;
                if !self.piece.is_empty() {
                    return Some(Piece::Overwritten(take(&mut self.piece)));
                }
            }
            // A record begins a line, also after output that has not ended its own.
            let fresh = self.piece.is_empty();
            let record =
                chunk.iter().skip(usize::from(fresh)).position(|byte| *byte == RECORD as u8);
            let record = record.map(|at| at + usize::from(fresh));
            let end = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            if let Some(record) = record.filter(|record| end.is_none_or(|end| *record < end)) {
                let room = LONGEST_LINE.saturating_sub(self.piece.len()).min(record);
                self.piece.extend_from_slice(&chunk[..room]);
                self.reader.consume(record);
                return Some(Piece::Line(take(&mut self.piece)));
            }
            let taken = end.unwrap_or(chunk.len());
            let room = LONGEST_LINE.saturating_sub(self.piece.len()).min(taken);
            self.piece.extend_from_slice(&chunk[..room]);
            let is_line = end.is_some_and(|end| chunk[end] == b'\n');
            self.reader.consume(end.map_or(taken, |end| end + 1));
            if is_line {
                self.returned = false;
                return Some(Piece::Line(take(&mut self.piece)));
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

    async fn pieces(input: &[u8]) -> Vec<Piece> {
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
        assert_eq!(found[0], Piece::Line("x".repeat(LONGEST_LINE)));
        let rest = ["next", "", "last"].map(|text| Piece::Line(text.into()));
        assert_eq!(found[1..], rest);
    }

    #[tokio::test]
    async fn a_record_begins_a_line() {
        let found = pieces("unfinished\u{1e}\u{1f}INFO\u{1f}next\n\u{1e}x\n".as_bytes()).await;
        let expected = ["unfinished", "\u{1e}\u{1f}INFO\u{1f}next", "\u{1e}x"];
        assert_eq!(found, expected.map(|text| Piece::Line(text.into())));
        let mut long = vec![b'x'; 2 * LONGEST_LINE];
        long.extend_from_slice("\u{1e}record\n".as_bytes());
        assert_eq!(pieces(&long).await[1], Piece::Line("\u{1e}record".into()));
    }

    #[tokio::test]
    async fn states_of_a_bar_overwrite_each_other() {
        let found = pieces(b"\r 10%\r 20%\r\r 30%\ndone\n").await;
        let states = [" 10%", " 20%"].map(|text| Piece::Overwritten(text.into()));
        assert_eq!(found[..2], states);
        assert_eq!(found[2..], [" 30%", "done"].map(|text| Piece::Line(text.into())));
    }
}
