//! Places at which a test may kill the server: between two steps of which each is safe alone.
//!
//! Only a build with the feature `failpoints` holds them; there `FAILPOINTS="publish-renamed=return"`
//! chooses one, and `"job-claimed=2*off->return"` its third time.

#[cfg(feature = "failpoints")]
pub(crate) fn reached(name: &str) {
    use std::sync::Once;

    use rustix::process::{Signal, getpid, kill_process};

    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        let chosen = std::env::var("FAILPOINTS").unwrap_or_default();
        for (name, action) in chosen.split(';').filter_map(|point| point.split_once('=')) {
            if let Err(error) = fail::cfg(name, action) {
                tracing::error!("FAILPOINTS: {error}");
            }
        }
    });
    fail::eval(name, |_| {
        let _ = kill_process(getpid(), Signal::KILL);
    });
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn reached(_name: &str) {}
