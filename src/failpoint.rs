//! Places at which a test may kill the server: between two steps of which each is safe alone.
//!
//! Only a build with the feature `failpoints` holds them; there `FAILPOINTS="publish-renamed=return"`
//! chooses one, and `"job-claimed=2*off->return"` its third time. `"job-fitted=return(PATH)"` waits there
//! instead, as long as the file PATH exists, and says so by the file `PATH.reached`.

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
    fail::eval(name, |held| match held {
        Some(path) => match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            // Requests go on meanwhile.
            Ok(RuntimeFlavor::MultiThread) => block_in_place(|| wait_while_there(&path)),
            _ => wait_while_there(&path),
        },
        None => {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    });
}

#[cfg(feature = "failpoints")]
fn wait_while_there(path: &str) {
    let _ = std::fs::write(format!("{path}.reached"), "");
    while std::fs::exists(path).unwrap_or_default() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[cfg(not(feature = "failpoints"))]
pub(crate) fn reached(_name: &str) {}
