//! Whether a shape lies where it can be seen: its coordinates are percent of the image.
//!
//! A shape that sticks out is drawn up to the edge, which is not a mistake. Two kinds are told: a shape that lies
//! wholly outside, and one so far beyond the edge that its numbers must be pixels.

use crate::labelling::check::finding::Cause;
use crate::labelling::check::report::RegionReport;

/// Rounding may take a coordinate a little beyond the edge.
const ROUNDING: f64 = 0.001;
/// Largest distance of a shape in percent from the edge of the image; numbers beyond it are taken for pixels.
const FAR: f64 = 50.0;

/// A shape along one axis, from its lowest to its highest coordinate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    low: f64,
    high: f64,
}

impl Extent {
    /// A number of the shape and how far it reaches from there.
    pub(super) fn new(from: f64, to: f64) -> Self {
        Self { low: from.min(to), high: from.max(to) }
    }

    /// Both together.
    pub(super) fn joined(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub(super) fn is_outside(self) -> bool {
        self.low > 100.0 + ROUNDING || self.high < -ROUNDING
    }

    /// Whether it reaches so far that it must be in pixels.
    pub(super) fn is_far(self) -> bool {
        self.low < -FAR || self.high > 100.0 + FAR
    }
}

/// Adds that a number is not in percent, or puts its shape outside of the image.
pub(super) fn out_of_range(given: f64, path: &str, report: &mut RegionReport<'_>) {
    report.add(Cause::OutOfRange, path, || {
        if given > 100.0 {
            format!("is {given}, percent of the image go from 0 to 100 (are these pixels?)")
        } else {
            format!("is {given}, percent of the image go from 0 to 100, and all of it lies outside")
        }
    });
}
