//! User and password of a server.

use anyhow::{Result, bail};

/// Both, from the command line or else from the environment; one without the other is an error.
pub(super) fn find(user: Option<&str>, password: Option<&str>) -> Result<Option<(String, String)>> {
    let given = |option: Option<&str>, name: &str| {
        let in_environment = || {
            let names = [format!("BASIC_AUTH_{name}"), format!("ML_SERVER_BASIC_AUTH_{name}")];
            names.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
        };
        option.map(str::to_owned).or_else(in_environment)
    };
    match (given(user, "USER"), given(password, "PASS")) {
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (None, None) => Ok(None),
        _ => bail!("Basic authentication needs both a user and a password"),
    }
}
