//! Keyword arguments for the model class: config.json in the project, then `--with K=V`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Merges both; the command line takes precedence.
pub(super) fn gather(project: &Path, pairs: &[String]) -> Result<Map<String, Value>> {
    let mut kwargs = from_config(&project.join("config.json"))?;
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("--with takes KEY=VALUE, not `{pair}`");
        };
        kwargs.insert(key.to_owned(), typed(value));
    }
    Ok(kwargs)
}

fn from_config(path: &Path) -> Result<Map<String, Value>> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => bail!("{} must contain a JSON object", path.display()),
        Err(error) => bail!("{} is not valid JSON: {error}", path.display()),
    }
}

/// Numbers and truth values as the original reads them, everything else as text.
fn typed(value: &str) -> Value {
    if !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = value.parse::<u64>()
    {
        return number.into();
    }
    match value {
        "True" | "true" => return true.into(),
        "False" | "false" => return false.into(),
        _ => {}
    }
    match value.parse::<f64>() {
        // Infinities and NaN have no JSON; as text the model can still make them floats.
        Ok(number) if number.is_finite() => number.into(),
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_the_type_that_they_look_like() {
        let cases = [
            ("1", json!(1)),
            ("-1", json!(-1.0)),
            ("1.5", json!(1.5)),
            ("True", json!(true)),
            ("false", json!(false)),
            ("x", json!("x")),
            ("", json!("")),
            ("nan", json!("nan")),
            ("http://h/?a=b", json!("http://h/?a=b")),
        ];
        for (text, value) in cases {
            assert_eq!(typed(text), value, "{text}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), r#"{"a": 1, "b": [2]}"#).unwrap();
        let pairs = ["a=x=y".to_owned(), "c=3".to_owned()];
        let kwargs = gather(dir.path(), &pairs).unwrap();
        assert_eq!(Value::Object(kwargs), json!({"a": "x=y", "b": [2], "c": 3}));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = gather(dir.path(), &["a".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "--with takes KEY=VALUE, not `a`");
        fs::write(dir.path().join("config.json"), "[1]").unwrap();
        let error = gather(dir.path(), &[]).unwrap_err();
        assert!(error.to_string().ends_with("config.json must contain a JSON object"));
    }
}
