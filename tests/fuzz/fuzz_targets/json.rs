//! Compares the reader and the writer of JSON with those of Python.
//!
//! The interpreter is not instrumented and keeps what it allocates until the end, so scripts/fuzz switches
//! leak detection off for this target.
#![no_main]

use label_studio_ml::python::fuzzing::{Compared, read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for compared in [read(data), write(data)] {
        match compared {
            Ok(Compared::Same | Compared::Unreadable) => {}
            Ok(Compared::Different(how)) => panic!("{how}"),
            Err(error) => panic!("Python raised: {error}"),
        }
    }
});
