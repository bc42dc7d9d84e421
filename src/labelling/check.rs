//! Whether Label Studio can show an answer: the body of an answer to /predict against the labelling
//! config.
//!
//! In: the body as it goes to the client, how many tasks were asked for, and [`Rules`] made from
//! the labelling config. Out: [`Checked`], one [`Finding`] for each place at which Label Studio
//! drops, hides or refuses something. Pure; the body is not changed.
//!
//! What becomes of each mistake was seen in Label Studio 1.23.2: over its API for what it stores,
//! in a browser for what its editor draws. What it shows all the same (a score of 1234.5, a type
//! `rectangle` where the tag is `RectangleLabels`, two choices of a single-choice tag) is not a finding.

mod answer;
mod display;
mod finding;
mod json;
mod region;
mod relation;
mod rules;
mod shape;

#[cfg(test)]
mod tests;

pub use answer::{AnswerContext, check};
pub use finding::{Cause, Checked, Finding, Mended, Places};
pub use rules::Rules;
