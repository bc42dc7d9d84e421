//! Breaking off a prediction that nobody waits for any more.
//!
//! First a flag, which `label_studio_ml.cancelled()` shows to user code on that thread; then
//! `PredictionCancelled`, raised there at the next line of Python. Code that stays in C sees neither.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_ulong;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::wire::protocol::RequestId;

thread_local! {
    /// The flag of the request that this thread answers.
    static FLAG: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
    /// How Python calls this thread; 0: not asked yet.
    static THREAD: Cell<c_ulong> = const { Cell::new(0) };
}

/// The requests that threads of this process answer.
#[derive(Debug, Default)]
pub(super) struct Running {
    calls: Mutex<HashMap<RequestId, Call>>,
}

#[derive(Debug)]
struct Call {
    thread: c_ulong,
    flag: Arc<AtomicBool>,
    /// Requests that it answers and somebody still wants.
    wanted: Arc<AtomicUsize>,
}

impl Running {
    /// Runs what answers requests; whether it was broken off comes with the result.
    pub(super) fn run<T>(&self, requests: &[RequestId], run: impl FnOnce() -> T) -> (T, bool) {
        let flag = Arc::new(AtomicBool::new(false));
        // Without its name a thread cannot be interrupted; the flag is there all the same.
        let thread = Python::attach(this_thread).unwrap_or_default();
        FLAG.set(Some(Arc::clone(&flag)));
        let wanted = Arc::new(AtomicUsize::new(requests.len()));
        self.calls().extend(requests.iter().map(|request| {
            (*request, Call { thread, flag: Arc::clone(&flag), wanted: Arc::clone(&wanted) })
        }));
        let outcome = run();
        FLAG.set(None);
        // Attached, so that nobody raises anything between the two steps.
        Python::attach(|_| {
            {
                let mut calls = self.calls();
                for request in requests {
                    calls.remove(request);
                }
            }
            if flag.load(Ordering::Relaxed) && thread != 0 {
                // What was raised too late must not meet the next request.
                raise(thread, std::ptr::null_mut());
            }
        });
        (outcome, flag.load(Ordering::Relaxed))
    }

    /// Breaks off what answers a request, unless it answers others too; false if nothing does. To be
    /// called once for each request.
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
            // While this thread is attached, that one cannot leave its request.
            if let (Some(call), Ok(exception)) = (self.calls().get(&request), exception)
                && call.thread != 0
            {
                raise(call.thread, exception.as_ptr());
            }
        });
        true
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<RequestId, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How Python calls this thread.
fn this_thread(py: Python<'_>) -> PyResult<c_ulong> {
    if THREAD.get() == 0 {
        THREAD.set(py.import("threading")?.call_method0("get_ident")?.extract()?);
    }
    Ok(THREAD.get())
}

/// Has a thread raise `exception`, or forget one that it has not raised yet (null).
#[expect(unsafe_code, reason = "PyO3 has no safe call for it")]
fn raise(thread: c_ulong, exception: *mut pyo3::ffi::PyObject) {
    // SAFETY: both callers are attached to the interpreter, as the function demands. `exception` is
    // null or a class that its caller holds a reference to; the interpreter takes one of its own. A
    // thread that is gone is no error.
    unsafe {
        pyo3::ffi::PyThreadState_SetAsyncExc(thread.cast_signed(), exception);
    }
}

/// Whether the request that this thread answers was cancelled.
#[pyfunction]
pub(super) fn is_cancelled() -> bool {
    FLAG.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)))
}
