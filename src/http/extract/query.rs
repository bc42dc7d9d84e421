//! The query of a request, `?project=1&limit=10`.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::Uri;
use axum::http::request::Parts;

/// The arguments of the query by name.
pub(in crate::http) struct Query(pub(in crate::http) BTreeMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(arguments(&parts.uri)))
    }
}

/// The first value of each argument; none where the query cannot be read.
pub(in crate::http) fn arguments(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|Pairs(pairs)| pairs)
        .unwrap_or_default();
    let mut first = BTreeMap::new();
    for (name, value) in pairs {
        first.entry(name).or_insert(value);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_query_values_counts() {
        let uri = "/is_training?project=1&project=2&a=%C3%A9".parse::<Uri>().unwrap();
        let expected = [("a", "é"), ("project", "1")];
        assert_eq!(
            arguments(&uri),
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect()
        );
    }
}
