//! Ids of what Label Studio stores. Each kind is a type of its own, so that the id of a task is never taken
//! for that of a project.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($id:ident)*) => {$(
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $id(pub u64);

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids!(ProjectId TaskId BackendId WebhookId UserId);

/// For an option that takes a whole number.
impl From<u64> for ProjectId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}
