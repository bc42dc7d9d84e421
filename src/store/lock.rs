//! Ownership of a model folder: a server owns it while it holds the lock on a file in it.
//!
//! The lock ends with the process, however that ends, so it is never stale. Worker processes do not inherit
//! it.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// The lock, held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The outcome of an attempt to lock.
#[derive(Debug)]
pub enum LockAttempt {
    Taken(Lock),
    /// Another process holds it; what it wrote about itself, if it did.
    Held(Option<Holder>),
}

/// What the process that holds a lock wrote about itself; only for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// The port that its server listens on. Servers of earlier versions do not write it.
    pub port: Option<u16>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {}", self.pid)?;
        self.port.map_or(Ok(()), |port| write!(f, " (port {port})"))
    }
}

/// `server 42 (port 9090)`.
pub fn named(holder: Option<Holder>) -> String {
    holder.map_or_else(|| "another server".to_owned(), |holder| holder.to_string())
}

/// `another server (pid 42)`.
pub fn with_pid(holder: Option<Holder>) -> String {
    let pid = holder.map(|holder| format!(" (pid {})", holder.pid));
    format!("another server{}", pid.unwrap_or_default())
}

/// Tries to take the lock at `path`, without waiting. `port`: that of this server.
pub fn take(path: &Path, port: Option<u16>) -> io::Result<LockAttempt> {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Held(holder_in(&mut file))),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!(
                "{}: this disk does not support locks; two servers on one model folder would harm it",
                path.display()
            );
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.rewind()?;
    file.set_len(0)?;
    let port = port.map(|port| format!("port {port}\n")).unwrap_or_default();
    write!(file, "{}\n{port}", std::process::id())?;
    Ok(LockAttempt::Taken(Lock { _file: file }))
}

/// The outcome of an attempt to share the lock.
#[derive(Debug)]
pub enum Sharing {
    /// Keeps servers from taking the lock until it is dropped. Empty if there is no file, so no owner yet.
    Shared(Option<Lock>),
    /// An owner holds it; what it wrote about itself, if it did.
    Held(Option<Holder>),
}

/// Shares the lock at `path` with other processes that only keep owners away; does not wait.
pub fn share(path: &Path) -> io::Result<Sharing> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sharing::Shared(None)),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Sharing::Held(holder_in(&mut file))),
        // This disk does not support locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(Sharing::Shared(Some(Lock { _file: file })))
}

/// Finds out who holds the lock at `path`, without taking it: none if no process does, else what it wrote
/// about itself, if it did.
pub fn holder(path: &Path) -> io::Result<Option<Option<Holder>>> {
    Ok(match share(path)? {
        Sharing::Shared(_) => None,
        Sharing::Held(holder) => Some(holder),
    })
}

fn holder_in(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    let mut lines = text.lines().map(str::trim);
    let pid = lines.next()?.parse().ok()?;
    let port = lines.find_map(|line| line.strip_prefix("port ")?.parse().ok());
    Some(Holder { pid, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let LockAttempt::Taken(lock) = take(&path, None).unwrap() else { panic!("nobody has it") };
        let LockAttempt::Held(holder) = take(&path, None).unwrap() else { panic!("it is taken") };
        assert_eq!(holder, Some(Holder { pid: std::process::id(), port: None }));
        drop(lock);
        assert!(matches!(take(&path, None).unwrap(), LockAttempt::Taken(_)));
    }

    #[test]
    fn a_look_tells_the_owner_and_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(holder(&path).unwrap(), None);
        assert!(!path.exists());
        let taken = take(&path, None).unwrap();
        let us = Holder { pid: std::process::id(), port: None };
        assert_eq!(holder(&path).unwrap(), Some(Some(us)));
        drop(taken);
        assert_eq!(holder(&path).unwrap(), None);
        assert!(matches!(take(&path, None).unwrap(), LockAttempt::Taken(_)));
    }

    #[test]
    fn a_holder_that_has_not_written_its_pid_holds_the_lock_nevertheless() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = File::create(&path).unwrap();
        file.lock().unwrap();
        for said in ["", "what?"] {
            std::fs::write(&path, said).unwrap();
            assert!(matches!(take(&path, None).unwrap(), LockAttempt::Held(None)), "{said}");
            assert_eq!(holder(&path).unwrap(), Some(None));
        }
    }

    #[test]
    fn the_pid_of_the_holder_replaces_that_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "99999999999999\nand more\n").unwrap();
        let taken = take(&path, None).unwrap();
        assert!(matches!(taken, LockAttempt::Taken(_)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_server_names_its_port() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let taken = take(&path, Some(9090)).unwrap();
        let us = holder(&path).unwrap().flatten().unwrap();
        assert_eq!(us.to_string(), format!("server {} (port 9090)", std::process::id()));
        drop(taken);
        // A shorter note leaves nothing of the one before.
        let _taken = take(&path, None).unwrap();
        let us = holder(&path).unwrap().flatten().unwrap();
        assert_eq!(us.to_string(), format!("server {}", std::process::id()));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_and_not_a_held_lock() {
        let dir = tempfile::tempdir().unwrap();
        assert!(take(&dir.path().join("no such folder/lock"), None).is_err());
        assert!(take(dir.path(), None).is_err());
        assert!(holder(&dir.path().join("no such folder/lock")).unwrap().is_none());
    }

    #[test]
    fn two_may_look_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "").unwrap();
        let other = File::open(&path).unwrap();
        other.lock_shared().unwrap();
        assert_eq!(holder(&path).unwrap(), None, "nobody owns it");
    }
}
