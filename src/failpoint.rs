//! Named places between two steps, at which a fault test kills or stops the server.
//!
//! Only a build with the feature `failpoints` contains them. There `FAILPOINTS="publish-renamed=return"`
//! kills the server at that place, `"job-claimed=2*off->return"` when it gets there for the third time.
//! `"job-fitted=return(PATH)"` makes it create the file `PATH.reached` there, and wait as long as the file
//! PATH exists.

#[cfg(feature = "failpoints")]
pub(crate) fn reached(name: &str) {
    use std::sync::Once;

    use rustix::process::{Signal, getpid, kill_process};
    use tokio::runtime::{Handle, RuntimeFlavor};
    use tokio::task::block_in_place;

    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        let chosen = std::env::var("FAILPOINTS").unwrap_or_default();
        for (name, action) in chosen.split(';').filter_map(|point| point.split_once('=')) {
            if let Err(error) = fail::cfg(name, action) {
                tracing::error!("FAILPOINTS: {error}");
            }
        }
    });
    fail::eval(name, |argument| match argument {
        Some(path) => match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            // The runtime serves requests meanwhile.
            Ok(RuntimeFlavor::MultiThread) => block_in_place(|| wait_while_exists(&path)),
            _ => wait_while_exists(&path),
        },
        None => {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    });
}

#[cfg(feature = "failpoints")]
fn wait_while_exists(path: &str) {
    let _ = std::fs::write(format!("{path}.reached"), "");
    while std::fs::exists(path).unwrap_or_default() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn reached(_name: &str) {}
