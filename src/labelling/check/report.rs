//! Findings about one region.

use jiter::JsonValue;

use super::display::show;
use super::finding::{Cause, Checked, Finding, FindingPlace};

/// Adds the findings of one region, which are about the control tag that the region names.
pub(super) struct RegionReport<'a> {
    pub(super) subject: &'a str,
    pub(super) place: FindingPlace,
    pub(super) checked: &'a mut Checked,
}

impl RegionReport<'_> {
    pub(super) fn add(&mut self, cause: Cause, path: &str, problem: impl FnOnce() -> String) {
        let (place, subject) = (self.place, self.subject);
        self.checked.add(cause, || Finding::at(cause, place, path, subject, problem()));
    }

    /// Adds that something has the wrong type, or is missing.
    pub(super) fn wrong(&mut self, path: &str, found: Option<&JsonValue<'_>>, expected: &str) {
        match found {
            Some(found) => {
                self.add(Cause::WrongValue, path, || {
                    format!("is {} instead of {expected}", show(found))
                });
            }
            None => self.add(Cause::MissingKey, path, || format!("is missing ({expected})")),
        }
    }
}
