//! The two model interfaces of Label Studio ML, and which of them a class is written for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The model interface that a class is written for; a number wherever it leaves this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum ApiVersion {
    /// `fit` returns what the model learned, and the server keeps it.
    V1 = 1,
    /// The model keeps what it learned itself, in files or keys, and names its versions.
    V2 = 2,
}

#[derive(Debug, thiserror::Error)]
#[error("there is no API v{0}")]
pub struct UnknownApiVersion(u8);

impl TryFrom<u8> for ApiVersion {
    type Error = UnknownApiVersion;

    fn try_from(number: u8) -> Result<Self, UnknownApiVersion> {
        match number {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            other => Err(UnknownApiVersion(other)),
        }
    }
}

impl From<ApiVersion> for u8 {
    fn from(version: ApiVersion) -> Self {
        version as Self
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "API v{}", u8::from(*self))
    }
}

/// Tells users what a class was taken for, why, and how to overrule that.
pub fn verdict(class: &str, api: ApiVersion, reason: &str) -> String {
    let other = match api {
        ApiVersion::V1 => ApiVersion::V2,
        ApiVersion::V2 => ApiVersion::V1,
    };
    let number = u8::from(other);
    format!(
        "{class} is written for {api}: {reason}; LABEL_STUDIO_ML_API = {number} on the class overrules that"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_number_outside_and_has_a_name_for_people() {
        for (version, number, name) in
            [(ApiVersion::V1, "1", "API v1"), (ApiVersion::V2, "2", "API v2")]
        {
            assert_eq!(serde_json::to_string(&version).unwrap(), number);
            assert_eq!(serde_json::from_str::<ApiVersion>(number).unwrap(), version);
            assert_eq!(version.to_string(), name);
        }
        assert_eq!(
            verdict("Model", ApiVersion::V1, "fit(tasks, ...)"),
            "Model is written for API v1: fit(tasks, ...); LABEL_STUDIO_ML_API = 2 on the class overrules that"
        );
        assert!(verdict("Model", ApiVersion::V2, "").contains("LABEL_STUDIO_ML_API = 1 "));
        let error = serde_json::from_str::<ApiVersion>("3").unwrap_err();
        assert!(error.to_string().starts_with("there is no API v3"), "{error}");
    }
}
