//! For unit tests: which files and folders are synced to the disk.
//!
//! The test program has an `fsync` and an `fdatasync` of its own, which everything in it calls in place of
//! those of the C library: the standard library, and SQLite. They note what is synced and how it looks at
//! that moment, and then ask the kernel; or they refuse, as a broken disk does. So a test sees the calls
//! that are really made, and code that is tested knows nothing of it.

#![expect(unsafe_code, reason = "the C library's functions are replaced, and called")]

use std::ffi::c_int;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// A file or folder that was brought to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    /// Below the folder that is watched; empty for that itself.
    pub(crate) path: PathBuf,
    /// What was in a file then.
    pub(crate) bytes: Option<Vec<u8>>,
    /// What was in a folder then.
    pub(crate) names: Vec<String>,
}

type Breaks = Box<dyn Fn(&Synced) -> bool + Send>;

#[derive(Default)]
struct Observed {
    synced: Vec<Synced>,
    breaks: Option<Breaks>,
}

/// Watches everything in and below a folder until it is dropped.
pub(crate) struct Watch {
    root: PathBuf,
    state: Arc<Mutex<Observed>>,
}

static WATCHES: Mutex<Vec<(PathBuf, Arc<Mutex<Observed>>)>> = Mutex::new(Vec::new());

impl Watch {
    pub(crate) fn over(root: &Path) -> Self {
        let watch = Self { root: root.canonicalize().unwrap(), state: Arc::default() };
        WATCHES.lock().push((watch.root.clone(), Arc::clone(&watch.state)));
        watch
    }

    /// What was brought to the disk since this was last asked, in order.
    pub(crate) fn take(&self) -> Vec<Synced> {
        std::mem::take(&mut self.state.lock().synced)
    }

    /// The paths alone.
    pub(crate) fn take_paths(&self) -> Vec<String> {
        self.take().into_iter().map(|synced| synced.path.display().to_string()).collect()
    }

    /// From now on the disk does not take what `breaks` says.
    pub(crate) fn break_when(&self, breaks: impl Fn(&Synced) -> bool + Send + 'static) {
        self.state.lock().breaks = Some(Box::new(breaks));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHES.lock().retain(|(_, state)| !Arc::ptr_eq(state, &self.state));
    }
}

#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: c_int) -> c_int {
    observe(descriptor, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    observe(descriptor, libc::SYS_fdatasync)
}

fn observe(descriptor: c_int, call: libc::c_long) -> c_int {
    let watched = watched(descriptor);
    if let Some((synced, state)) = &watched
        && state.lock().breaks.as_ref().is_some_and(|breaks| breaks(synced))
    {
        // SAFETY: the address of this thread's own error number.
        unsafe { *libc::__errno_location() = libc::EIO };
        return -1;
    }
    // SAFETY: both calls take a descriptor and nothing else.
    let outcome = unsafe { libc::syscall(call, descriptor) };
    if let Some((synced, state)) = watched
        && outcome == 0
    {
        state.lock().synced.push(synced);
    }
    c_int::try_from(outcome).unwrap_or(-1)
}

/// What a descriptor stands for, if a test watches it.
fn watched(descriptor: c_int) -> Option<(Synced, Arc<Mutex<Observed>>)> {
    if WATCHES.lock().is_empty() {
        return None;
    }
    let path = fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
    let (path_below, state) = WATCHES.lock().iter().find_map(|(root, state)| {
        Some((path.strip_prefix(root).ok()?.to_owned(), Arc::clone(state)))
    })?;
    let entries = fs::read_dir(&path).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let bytes = if path.is_file() { fs::read(&path).ok() } else { None };
    Some((Synced { path: path_below, bytes, names }, state))
}
