//! Ids of jobs and versions, and keys of projects. Users of the original know the numbers from folders; they
//! also stand in the job store and in HTTP answers.

use std::borrow::Borrow;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

/// Number of a training job: the time in seconds at which it was queued, or later if that was taken.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// Number of a version: that of the job that made it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct VersionId(pub u64);

impl From<JobId> for VersionId {
    fn from(job: JobId) -> Self {
        Self(job.0)
    }
}

impl From<VersionId> for JobId {
    fn from(version: VersionId) -> Self {
        Self(version.0)
    }
}

/// Conversions by which an id can stand in the job store, in a path and in a log line.
macro_rules! number {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $id {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }

        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                u64::column_result(value).map(Self)
            }
        }
    };
}

number!(JobId);
number!(VersionId);

/// Name of a project as Label Studio sends it to ML backends, `{id}.{created_at as unix time}`. Other clients
/// may send any text; empty: no project.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectKey(String);

/// Maximum length of an id that is shown, in characters.
const LONGEST_SHOWN: usize = 60;

impl ProjectKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the project as user code of API v2 knows it: without its time of creation.
    pub fn id(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The id for a line of a log or a terminal: a client may have sent anything.
    pub fn shown_id(&self) -> String {
        self.id().chars().filter(|letter| !letter.is_control()).take(LONGEST_SHOWN).collect()
    }
}

/// As that of the text: messages quote keys with it.
impl fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<String> for ProjectKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<&str> for ProjectKey {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl Borrow<str> for ProjectKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl ToSql for ProjectKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for ProjectKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_key_is_written_as_the_text_that_it_is() {
        let key = ProjectKey::from("2.17\"");
        assert_eq!(serde_json::to_string(&key).unwrap(), r#""2.17\"""#);
        assert_eq!(serde_json::from_str::<ProjectKey>(r#""2.17\"""#).unwrap(), key);
        assert_eq!(format!("{key} {key:?}"), r#"2.17" "2.17\"""#);
    }

    #[test]
    fn the_id_of_a_project_ends_before_the_first_dot() {
        for (key, id) in [("2.17", "2"), ("2", "2"), ("a.b.c", "a"), (".17", ""), ("", "")] {
            assert_eq!(ProjectKey::from(key).id(), id, "{key}");
        }
    }

    #[test]
    fn a_shown_id_is_a_short_line() {
        assert_eq!(ProjectKey::from("1\n2\u{1b}[2J\r.17").shown_id(), "12[2J");
        assert_eq!(ProjectKey::from("x".repeat(1000)).shown_id(), "x".repeat(60));
    }
}
