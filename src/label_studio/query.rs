//! Filters of the data manager, in the form of the `query` parameter of /api/tasks.

use serde_json::{Value, json};

use super::ids::TaskId;

/// Selects tasks with an id above this one.
pub(super) fn id_above(id: TaskId) -> Value {
    json!({"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": id})
}

/// Selects tasks with a prediction whose model version contains this text. It may select more: some
/// databases ignore case. The text is in a list, since Label Studio would look for each letter of a string.
pub(super) fn version_contains(text: &str) -> Value {
    json!({
        "filter": "filter:tasks:predictions_model_versions",
        "operator": "contains",
        "type": "List",
        "value": [text],
    })
}

/// The value of the parameter for tasks that pass all of these filters, ordered by id.
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
