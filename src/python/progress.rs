//! Reports how far `fit` is: `label_studio_ml.progress(…)` and the bars of tqdm.
//!
//! Reports go to the server as records on stderr, so that children which the model forks can report too.
//! Outside of `fit` nothing is reported.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{json_out, streams};
use crate::os::fork::lock;
use crate::wire::record;
use crate::wire::record::FitProgress;
use crate::workers::output::tqdm;

/// Minimum time between two reports of a bar.
const PAUSE: Duration = Duration::from_millis(100);
/// Maximum length of a message in characters and of metrics in bytes, so that both fit a line of the log.
const LONGEST: usize = 4 << 10;

static FITTING: AtomicBool = AtomicBool::new(false);
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

/// Lets reports pass until it is dropped.
#[must_use]
pub(super) struct Fitting;

pub(super) fn fitting() -> Fitting {
    FITTING.store(true, Ordering::Relaxed);
    Fitting
}

impl Drop for Fitting {
    fn drop(&mut self) {
        FITTING.store(false, Ordering::Relaxed);
    }
}

/// Reports how far `fit` is. A fraction below 0 or above 1 becomes 0 or 1; NaN counts as not known.
#[pyfunction]
#[pyo3(signature = (fraction, message, metrics))]
pub(super) fn report_progress(
    fraction: Option<f64>,
    message: Option<String>,
    metrics: &Bound<'_, PyDict>,
) -> PyResult<()> {
    if !FITTING.load(Ordering::Relaxed) {
        return Ok(());
    }
    let py = metrics.py();
    let written = json_out::value(metrics).map_err(|error| {
        pyo3::exceptions::PyTypeError::new_err(format!("metrics: {}", error.message))
    })?;
    let metrics = if written.len() > LONGEST {
        serde_json::Map::new()
    } else {
        serde_json::from_slice(&written).unwrap_or_default()
    };
    let message = message.map(|message| message.chars().take(LONGEST).collect());
    let fraction = fraction.filter(|fraction| !fraction.is_nan());
    let progress = FitProgress {
        fraction: fraction.map(|fraction| fraction.clamp(0.0, 1.0)),
        message,
        metrics,
    };
    let Some(record) = format(&progress) else { return Ok(()) };
    py.detach(|| streams::write(2, &record))?;
    Ok(())
}

/// A report made of the text of a progress bar, unless one was made just before.
pub(super) fn of_bar(text: &str) -> Option<String> {
    if text.is_empty() || !FITTING.load(Ordering::Relaxed) {
        return None;
    }
    let progress = tqdm::parse(text)?;
    let mut last = lock(&LAST);
    let is_last = progress.fraction >= Some(1.0);
    if !is_last && last.is_some_and(|last| last.elapsed() < PAUSE) {
        return None;
    }
    *last = Some(Instant::now());
    format(&progress)
}

fn format(progress: &FitProgress) -> Option<String> {
    // The line of a record is one line: JSON escapes what would end it.
    serde_json::to_string(progress).ok().map(|json| record::format("", "PROGRESS", &json))
}
