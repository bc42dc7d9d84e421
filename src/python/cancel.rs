//! Cancels a prediction that no client waits for any more.
//!
//! A flag is set, which `label_studio_ml.cancelled()` shows to user code on that thread; then
//! `PredictionCancelled` is raised there at the next line of Python. Code that stays in C sees neither.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_ulong;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::prelude::*;

use crate::os::fork::lock;
use crate::wire::protocol::RequestId;

thread_local! {
    /// Whether the request that this thread answers was cancelled.
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    /// The identifier that Python uses for this thread; 0: not asked yet.
    static THREAD: Cell<c_ulong> = const { Cell::new(0) };
}

/// The requests that threads of this process answer at the moment.
#[derive(Debug, Default)]
pub(super) struct RunningCalls {
    calls: Mutex<HashMap<RequestId, Call>>,
}

#[derive(Debug)]
struct Call {
    thread: c_ulong,
    flag: Arc<AtomicBool>,
    /// Number of requests that it answers and that were not cancelled.
    wanted: Arc<AtomicUsize>,
}

impl RunningCalls {
    /// Runs `run`, which answers requests. Returns its result, and whether it was cancelled.
    pub(super) fn run<T>(&self, requests: &[RequestId], run: impl FnOnce() -> T) -> (T, bool) {
        let flag = Arc::new(AtomicBool::new(false));
        // Without its identifier a thread cannot be interrupted; the flag is set all the same.
        let thread = Python::attach(this_thread).unwrap_or_default();
        FLAG.set(Some(Arc::clone(&flag)));
        let wanted = Arc::new(AtomicUsize::new(requests.len()));
        self.calls().extend(requests.iter().map(|request| {
            (*request, Call { thread, flag: Arc::clone(&flag), wanted: Arc::clone(&wanted) })
        }));
        let outcome = run();
        FLAG.set(None);
        // While this thread is attached, no other thread raises anything here between the two steps.
        Python::attach(|_| {
            {
                let mut calls = self.calls();
                for request in requests {
                    calls.remove(request);
                }
            }
            if flag.load(Ordering::Relaxed) && thread != 0 {
                // An exception that was raised too late must not reach the next request.
                raise(thread, std::ptr::null_mut());
            }
        });
        (outcome, flag.load(Ordering::Relaxed))
    }

    /// Cancels the call that answers a request, unless the call answers other requests too. Returns false
    /// if no call does. To be called once for each request.
    pub(super) fn cancel(&self, request: RequestId) -> bool {
        match self.calls().get(&request) {
            Some(call) if call.wanted.fetch_sub(1, Ordering::Relaxed) > 1 => return true,
            Some(call) => call.flag.store(true, Ordering::Relaxed),
            None => return false,
        }
        Python::attach(|py| {
            let exception = py
                .import("label_studio_ml.exceptions")
                .and_then(|module| module.getattr("PredictionCancelled"));
            // While this thread is attached, the other one cannot leave its request.
            if let (Some(call), Ok(exception)) = (self.calls().get(&request), exception)
                && call.thread != 0
            {
                raise(call.thread, exception.as_ptr());
            }
        });
        true
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<RequestId, Call>> {
        lock(&self.calls)
    }
}

/// The identifier that Python uses for this thread.
fn this_thread(py: Python<'_>) -> PyResult<c_ulong> {
    if THREAD.get() == 0 {
        THREAD.set(py.import("threading")?.call_method0("get_ident")?.extract()?);
    }
    Ok(THREAD.get())
}

/// Makes a thread raise `exception`, or, for null, forget one that it has not raised yet.
#[expect(unsafe_code, reason = "PyO3 has no safe call for it")]
fn raise(thread: c_ulong, exception: *mut pyo3::ffi::PyObject) {
    // SAFETY: both callers are attached to the interpreter, as the function demands. `exception` is
    // null or a class that its caller holds a reference to; the interpreter takes one of its own. A
    // thread that has ended is not an error.
    unsafe {
        pyo3::ffi::PyThreadState_SetAsyncExc(thread.cast_signed(), exception);
    }
}

/// Whether the request that this thread answers was cancelled.
#[pyfunction]
pub(super) fn is_cancelled() -> bool {
    FLAG.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}
