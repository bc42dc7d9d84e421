//! Filters of the data manager, as the `query` parameter of /api/tasks takes them.

use serde_json::{Value, json};

/// Tasks with an id above this one.
pub(super) fn after(id: u64) -> Value {
    json!({"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": id})
}

/// Tasks with a prediction whose model version contains this text. Some databases take upper and lower
/// case for the same, so it may find more. As a plain string, Label Studio would look for each letter.
pub(super) fn version_contains(text: &str) -> Value {
    json!({
        "filter": "filter:tasks:predictions_model_versions",
        "operator": "contains",
        "type": "List",
        "value": [text],
    })
}

/// The parameter that asks for tasks which pass all of these, in the order of their ids.
pub(super) fn all_of(filters: &[Value]) -> String {
    let query = json!({
        "filters": {"conjunction": "and", "items": filters},
        "ordering": ["tasks:id"],
    });
    // Label Studio decodes it twice.
    query.to_string().replace('%', "%25")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_survives_decoding_twice() {
        let query = all_of(&[version_contains("50%41")]);
        assert!(query.contains(r#"["50%2541"]"#), "{query}");
    }
}
