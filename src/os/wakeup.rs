//! Wakes a thread that sleeps until something can be read from one of several descriptors.
//!
//! On Linux it is an event counter, elsewhere a pipe.

#[cfg(target_os = "linux")]
pub use self::counter::EventfdWakeup as Wakeup;
#[cfg(not(target_os = "linux"))]
pub use self::pipe::PipeWakeup as Wakeup;

#[cfg(target_os = "linux")]
pub mod counter {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    /// A descriptor to wait for beside the one to read from.
    #[derive(Debug)]
    pub struct EventfdWakeup(OwnedFd);

    impl EventfdWakeup {
        pub fn new() -> io::Result<Self> {
            Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        /// Makes the descriptor readable until [`Self::clear`] is called.
        pub fn wake(&self) {
            // It fails only where it is readable already.
            let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        }

        /// To be called by the thread that was woken.
        pub fn clear(&self) {
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }

    impl AsFd for EventfdWakeup {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(any(test, not(target_os = "linux")))]
pub mod pipe {
    use std::io::{self, PipeReader, PipeWriter, Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};

    use rustix::io::ioctl_fionbio;

    /// A descriptor to wait for beside the one to read from.
    #[derive(Debug)]
    pub struct PipeWakeup {
        reader: PipeReader,
        writer: PipeWriter,
    }

    impl PipeWakeup {
        pub fn new() -> io::Result<Self> {
            let (reader, writer) = io::pipe()?;
            ioctl_fionbio(&reader, true)?;
            ioctl_fionbio(&writer, true)?;
            Ok(Self { reader, writer })
        }

        /// Makes the descriptor readable until [`Self::clear`] is called.
        pub fn wake(&self) {
            // It fails only where the pipe is full, and so readable already.
            let _ = (&self.writer).write(&[1]);
        }

        /// To be called by the thread that was woken.
        pub fn clear(&self) {
            let mut bytes = [0; 512];
            while (&self.reader).read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
        }
    }

    impl AsFd for PipeWakeup {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.reader.as_fd()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::thread;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{FdFlags, fcntl_getfd};

    fn is_readable(wakeup: &impl AsFd) -> bool {
        poll(&mut [PollFd::new(wakeup, PollFlags::IN)], Some(&Timespec::default())).unwrap() > 0
    }

    macro_rules! wakes {
        ($implementation:ident::$Wakeup:ident) => {
            mod $implementation {
                use super::super::$implementation::$Wakeup;
                use super::*;

                #[test]
                fn it_is_readable_from_waking_to_clearing() {
                    let wakeup = $Wakeup::new().unwrap();
                    wakeup.clear();
                    // Once, as many times as one look takes out, and more often than there is room for.
                    for times in [1, 512, 200_000] {
                        assert!(!is_readable(&wakeup));
                        for _ in 0..times {
                            wakeup.wake();
                        }
                        assert!(is_readable(&wakeup));
                        wakeup.clear();
                    }
                    assert!(!is_readable(&wakeup));
                    assert!(fcntl_getfd(&wakeup).unwrap().contains(FdFlags::CLOEXEC));
                }

                #[test]
                fn a_thread_that_sleeps_is_woken() {
                    let wakeup = Arc::new($Wakeup::new().unwrap());
                    let sleeper = thread::spawn({
                        let wakeup = Arc::clone(&wakeup);
                        move || poll(&mut [PollFd::new(&*wakeup, PollFlags::IN)], None).unwrap()
                    });
                    wakeup.wake();
                    assert_eq!(sleeper.join().unwrap(), 1);
                }
            }
        };
    }

    #[cfg(target_os = "linux")]
    wakes!(counter::EventfdWakeup);
    wakes!(pipe::PipeWakeup);
}
