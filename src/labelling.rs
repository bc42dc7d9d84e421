//! What a labelling config says, and whether an answer fits it.
//!
//! In: the text of a labelling config, the body of an answer to /predict. Out: the config as data
//! ([`config`]), and what Label Studio would drop, hide or refuse of the answer ([`check`]). Pure: no
//! I/O, no clock, no Python.

pub mod check;
pub mod config;
