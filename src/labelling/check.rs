//! Whether Label Studio can show an answer: the body of an answer to /predict against the labelling
//! config.
//!
//! In: the body as it goes to the client, the request that it answers, and [`Rules`] made from the
//! labelling config. Out: [`Checked`], one [`Finding`] for each place at which Label Studio drops, hides
//! or refuses something. Pure; the body is not changed, and tasks are read only where a rule asks for
//! their data.
//!
//! What becomes of each mistake was seen in Label Studio 1.23.2: over its API for what it stores,
//! in a browser for what its editor draws. What it shows all the same (a score of 1234.5, a type
//! `rectangle` where the tag is `RectangleLabels`, two choices of a single-choice tag) is not a finding.

mod answer;
mod checking;
mod control;
mod display;
mod finding;
mod json;
mod object;
mod region;
mod relation;
mod repeater;
mod report;
mod rules;
mod shape;
mod source;
mod tasks;
mod text;

#[cfg(test)]
mod tests;

pub use answer::check;
pub use checking::AnswerContext;
pub use finding::{Cause, Checked, Finding, Mended, Places};
pub use rules::Rules;
