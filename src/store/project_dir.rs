//! The folder name of a project.
//!
//! A project key comes from the network (`2.1795430965` from Label Studio, any text from other clients), so
//! it must never act as a path: every character that is not plain in a file name is escaped as `%XX`, and
//! different keys have different folders.

use std::fmt::Write;

use crate::ids::ProjectKey;
use thiserror::Error;

/// Maximum length of a folder name in bytes; file systems allow 255.
const MAX_LENGTH: usize = 200;

#[derive(Debug, Error, PartialEq, Eq)]
#[error("a project key of {0} characters is too long to name a folder")]
pub struct TooLong(usize);

/// The folder of `project` below MODEL_DIR; for no project empty, so MODEL_DIR itself.
pub fn name(project: &ProjectKey) -> Result<String, TooLong> {
    let key = project.as_str();
    let mut name = String::with_capacity(key.len());
    for (position, byte) in key.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-')
            || (byte == b'.' && position > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > MAX_LENGTH {
        return Err(TooLong(key.len()));
    }
    Ok(name)
}

/// The project of a folder; none if no project has a folder of that name.
pub fn key(folder: &str) -> Option<ProjectKey> {
    let mut bytes = Vec::with_capacity(folder.len());
    let mut rest = folder.bytes();
    while let Some(byte) = rest.next() {
        let digits = |rest: &mut std::str::Bytes<'_>| -> Option<u8> {
            let code = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&code).ok()?, 16).ok()
        };
        bytes.push(if byte == b'%' { digits(&mut rest)? } else { byte });
    }
    let key = ProjectKey::from(String::from_utf8(bytes).ok()?);
    (name(&key).as_deref() == Ok(folder)).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_of_label_studio_stay_as_they_are() {
        for key in ["2.1795430965", "7", "", "my_project-1"] {
            assert_eq!(name(&key.into()).unwrap(), key);
        }
    }

    #[test]
    fn a_folder_that_no_project_has_names_none() {
        for folder in [".default", "%", "%2", "%zz", "%2e", "a b", "%ff"] {
            assert_eq!(key(folder), None, "{folder}");
        }
    }

    #[test]
    fn a_key_is_never_a_path() {
        assert_eq!(name(&"../../etc/x".into()).unwrap(), "%2E.%2F..%2Fetc%2Fx");
        assert_eq!(name(&"..".into()).unwrap(), "%2E.");
        assert_eq!(name(&".staging".into()).unwrap(), "%2Estaging");
        assert_eq!(name(&"/etc".into()).unwrap(), "%2Fetc");
        assert!(name(&"x".repeat(201).into()).is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_one_plain_component(key in any::<String>()) {
            if let Ok(name) = name(&key.as_str().into()) {
                prop_assert!(!name.contains('/') && !name.starts_with('.') && !name.contains('\0'));
                prop_assert_eq!(name.is_empty(), key.is_empty());
                prop_assert_eq!(super::key(&name), Some(key.as_str().into()));
            }
        }

        #[test]
        fn different_keys_have_different_names(a in ".{0,20}", b in ".{0,20}") {
            prop_assert_eq!(a == b, name(&a.as_str().into()) == name(&b.as_str().into()));
        }
    }
}
