//! Splits Python source into tokens, to learn about a script without running it.
//!
//! In: the text of a file. Out: names, string constants and punctuation, in order. Comments are left out, and
//! a text that Python would refuse gives some tokens too: its import says what is wrong.

use std::iter::Peekable;
use std::str::Chars;

/// A token of Python source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PythonToken {
    /// A name or a keyword.
    Name(String),
    /// The value of a string constant, without its quotes.
    Text(String),
    /// A character of an operator, a bracket, or a number.
    Mark(char),
    /// The end of a statement.
    End,
}

impl PythonToken {
    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(self, Self::Name(own) if own == name)
    }

    pub(super) fn is_mark(&self, mark: char) -> bool {
        *self == Self::Mark(mark)
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// The tokens of a text.
pub(super) fn tokens(source: &str) -> Vec<PythonToken> {
    let mut scanner = Scanner { rest: source.chars().peekable(), tokens: Vec::new(), depth: 0 };
    while let Some(first) = scanner.rest.next() {
        scanner.take(first);
    }
    scanner.tokens.push(PythonToken::End);
    scanner.tokens
}

struct Scanner<'a> {
    rest: Peekable<Chars<'a>>,
    tokens: Vec<PythonToken>,
    /// Number of open brackets: a statement does not end within them.
    depth: usize,
}

impl Scanner<'_> {
    fn take(&mut self, first: char) {
        match first {
            '#' => while self.rest.next_if(|c| *c != '\n').is_some() {},
            // The end of the line belongs to what was escaped.
            '\\' => {
                self.rest.next_if_eq(&'\r');
                self.rest.next_if_eq(&'\n');
            }
            '\n' | ';' => {
                if self.depth == 0 {
                    self.tokens.push(PythonToken::End);
                }
            }
            '\'' | '"' => self.text(first, false),
            c if c.is_whitespace() => {}
            c if c.is_alphabetic() || c == '_' => self.name(c),
            c => {
                match c {
                    '(' | '[' | '{' => self.depth += 1,
                    ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.tokens.push(PythonToken::Mark(c));
            }
        }
    }

    /// A name, or the prefix of a string constant and that constant.
    fn name(&mut self, first: char) {
        let mut name = String::from(first);
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        let is_prefix = name.len() <= 2 && name.chars().all(|c| "rRbBuUfFtT".contains(c));
        match self.rest.next_if(|c| is_prefix && matches!(c, '\'' | '"')) {
            Some(quote) => self.text(quote, name.contains(['r', 'R'])),
            None => self.tokens.push(PythonToken::Name(name)),
        }
    }

    /// A string constant whose first quote was taken.
    fn text(&mut self, quote: char, is_raw: bool) {
        let mut ends_with = 1;
        if self.rest.next_if_eq(&quote).is_some() {
            if self.rest.next_if_eq(&quote).is_none() {
                self.tokens.push(PythonToken::Text(String::new()));
                return;
            }
            ends_with = 3;
        }
        let (mut text, mut quotes) = (String::new(), 0);
        while let Some(c) = self.rest.next() {
            quotes = if c == quote { quotes + 1 } else { 0 };
            text.push(c);
            if quotes == ends_with {
                text.truncate(text.len() - ends_with);
                break;
            }
            // A line that does not close its string is not Python.
            if c == '\n' && ends_with == 1 {
                break;
            }
            if c == '\\'
                && let Some(escaped) = self.rest.next()
            {
                if !is_raw {
                    text.pop();
                }
                text.push(escaped);
            }
        }
        self.tokens.push(PythonToken::Text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::PythonToken::{End, Mark, Name, Text};
    use super::*;

    fn name(text: &str) -> PythonToken {
        Name(text.into())
    }

    fn text(text: &str) -> PythonToken {
        Text(text.into())
    }

    #[test]
    fn names_strings_and_marks_are_told_apart() {
        assert_eq!(
            tokens("a.b1('x', \"y\") # '--no'\nc"),
            [
                name("a"),
                Mark('.'),
                name("b1"),
                Mark('('),
                text("x"),
                Mark(','),
                text("y"),
                Mark(')'),
                End,
                name("c"),
                End
            ]
        );
    }

    #[test]
    fn a_string_ends_where_it_ends_in_python() {
        for (source, value) in [
            ("''", ""),
            (r"'a\'b'", "a'b"),
            (r"r'a\'b'", r"a\'b"),
            (r"Rb'\\'", r"\\"),
            ("f\"x\"", "x"),
            ("'''a'b''c\n# d'''", "a'b''c\n# d"),
            ("\"\"\"\"quoted\"\"\"", "\"quoted"),
            ("'never closed\n", "never closed\n"),
            ("'''never closed", "never closed"),
        ] {
            assert_eq!(tokens(source)[0], text(value), "{source}");
        }
    }

    #[test]
    fn a_statement_goes_on_within_brackets_and_after_a_backslash() {
        assert_eq!(tokens("(a\nb)").iter().filter(|token| **token == End).count(), 1);
        assert_eq!(tokens("a \\\n b"), [name("a"), name("b"), End]);
        assert_eq!(tokens("a; b"), [name("a"), End, name("b"), End]);
    }
}
