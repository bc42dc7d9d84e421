//! One worker process: spawns it with its channel, and ends it with all its children.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::os::descendants;
use crate::os::signals;
use crate::wire::protocol::Secrets;

/// Descriptor number of the channel in a worker.
const CHANNEL: i32 = 3;

/// Secrets of the server in its environment. Processes that user code starts might print or send them, so a
/// worker has them only while it imports the project, whose `_wsgi.py` may read them.
pub const SECRETS: [&str; 3] =
    ["BASIC_AUTH_PASS", "ML_SERVER_BASIC_AUTH_PASS", "LABEL_STUDIO_ML_WEBHOOK_TOKEN"];

/// The secrets in the environment of this process.
pub fn secrets() -> Secrets {
    let known = |name: &&str| std::env::var(name).ok().map(|value| ((*name).to_owned(), value));
    Secrets(SECRETS.iter().filter_map(known).collect())
}

/// How worker processes are started: with the user's own interpreter.
#[derive(Debug, Clone)]
pub struct Launch {
    /// `sys.executable` of the process that runs the server.
    pub python: PathBuf,
    /// Folder that holds our package. The worker starts there, so that neither a
    /// `label_studio_ml` in the caller's folder nor one on `PYTHONPATH` is imported instead.
    pub package_root: PathBuf,
}

/// A running worker process. Dropping it kills it and everything that it started.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
    group: Pid,
    /// The mark of its descendants, which they have in any process group.
    mark: OsString,
    /// The thread that ends them.
    ending: Option<JoinHandle<()>>,
    pub pid: u32,
}

/// A new process, its channel and its output.
#[derive(Debug)]
pub struct SpawnedWorker {
    pub process: WorkerProcess,
    pub channel: UnixStream,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
}

impl Launch {
    pub fn spawn(&self) -> io::Result<SpawnedWorker> {
        let (server, worker) = StdStream::pair()?;
        server.set_nonblocking(true)?;
        let mut command = Command::new(&self.python);
        let mark = descendants::new_mark();
        command
            .env(descendants::MARK, &mark)
            .args(["-u", "-m", "label_studio_ml._worker", "--channel", &CHANNEL.to_string()])
            .current_dir(&self.package_root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal must reach the server alone, which then drains.
            .process_group(0)
            .kill_on_drop(true);
        for name in SECRETS {
            command.env_remove(name);
        }
        if let Some(paths) = std::env::var_os("PYTHONPATH") {
            command.env("PYTHONPATH", absolute(&paths)?);
        }
        command
            .fd_mappings(vec![FdMapping { parent_fd: OwnedFd::from(worker), child_fd: CHANNEL }])
            .map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the worker ended at once"))?;
        let group = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other(format!("the system gave a worker the pid {pid}")))?;
        Ok(SpawnedWorker {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            process: WorkerProcess { child, group, mark, ending: None, pid },
            channel: UnixStream::from_std(server)?,
        })
    }
}

/// A search path with absolute entries, since the worker starts in another folder.
fn absolute(paths: &OsStr) -> io::Result<OsString> {
    let here = std::env::current_dir()?;
    let entries = std::env::split_paths(paths).map(|entry| here.join(entry));
    std::env::join_paths(entries).map_err(io::Error::other)
}

impl WorkerProcess {
    /// Waits for the process to end, and says how it ended.
    pub async fn wait(&mut self) -> String {
        let end = self.child.wait().await;
        // Children of the model (pools, data loaders, ffmpeg) go with it.
        self.begin_ending();
        match end {
            Ok(status) => describe(status),
            Err(error) => format!("could not be waited for: {error}"),
        }
    }

    /// Waits at most `grace` for the process to end by itself, then kills it with all that it started.
    pub async fn end(&mut self, grace: Duration) -> String {
        if let Ok(end) = timeout(grace, self.wait()).await {
            return end;
        }
        self.kill_all();
        self.wait().await
    }

    /// Raises `KeyboardInterrupt` on the main thread of the worker, also out of a blocking call.
    pub fn interrupt(&self) {
        // The process may be gone.
        let _ = kill_process(self.group, Signal::INT);
    }

    fn begin_ending(&mut self) {
        if self.ending.is_none() {
            let (group, mark) = (self.group, self.mark.clone());
            let ending = thread::Builder::new().name("descendants".into());
            // Without a thread it is done when this is dropped.
            self.ending = ending.spawn(move || descendants::end_all(group, &mark)).ok();
        }
    }

    fn kill_all(&self) {
        descendants::end_all(self.group, &self.mark);
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        match self.ending.take() {
            Some(ending) => drop(ending.join()),
            None => self.kill_all(),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => {
            format!("was killed by signal {signal}{}", signals::in_words(signal))
        }
        (None, None) => "ended for an unknown reason".into(),
    }
}
