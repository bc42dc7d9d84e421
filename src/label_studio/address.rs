//! The address of a Label Studio, as people write it.

use reqwest::Url;

use super::LabelStudioError;

/// Where a copied address of a page leaves the base address.
const PAGES: [&str; 3] = ["projects", "api", "user"];

/// Normalises: a missing scheme is http, the path of a page goes, a base path stays and ends with `/`.
pub(super) fn normalise(given: &str) -> Result<Url, LabelStudioError> {
    let wrong = |reason: &str| LabelStudioError::Address {
        given: given.trim().to_owned(),
        reason: reason.to_owned(),
    };
    let text = given.trim();
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // It must not be shown either.
        return Err(LabelStudioError::Address {
            given: url.host_str().unwrap_or_default().to_owned(),
            reason: "a user and a password cannot be part of it".into(),
        });
    }
    url.set_query(None);
    url.set_fragment(None);
    let kept: Vec<&str> = url
        .path()
        .split('/')
        .take_while(|segment| !PAGES.contains(segment))
        .filter(|segment| !segment.is_empty())
        .collect();
    let path = if kept.is_empty() { "/".into() } else { format!("/{}/", kept.join("/")) };
    url.set_path(&path);
    Ok(url)
}

/// `path` below `base`, whose own path stays.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, q)| (path, Some(q)));
    url.set_path(&format!("{}{}", base.path(), path.trim_start_matches('/')));
    url.set_query(query);
    url
}

/// Without the slash at the end, as people write it.
pub(super) fn shown(base: &Url) -> &str {
    base.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_paste_becomes_the_base_address() {
        for (given, base) in [
            ("http://localhost:8080", "http://localhost:8080"),
            (" localhost:8080/ ", "http://localhost:8080"),
            ("LS.example.org", "http://ls.example.org"),
            ("https://ls.example.org/studio", "https://ls.example.org/studio"),
            ("https://ls.example.org/studio//", "https://ls.example.org/studio"),
            ("http://localhost:8080/projects/3/data?tab=1#x", "http://localhost:8080"),
            ("https://h/studio/user/account", "https://h/studio"),
            ("http://[::1]:8080/api/", "http://[::1]:8080"),
        ] {
            assert_eq!(shown(&normalise(given).unwrap()), base, "{given}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for given in ["", "  ", "ftp://h", "http://", "http://h:port"] {
            let error = normalise(given).unwrap_err().to_string();
            assert!(error.contains("set LABEL_STUDIO_URL to one like"), "{error}");
        }
        let error = normalise("http://me:secret@h/").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }

    #[test]
    fn paths_lie_below_the_base_path() {
        let base = normalise("http://h/studio").unwrap();
        assert_eq!(below(&base, "/api/x?a=b").as_str(), "http://h/studio/api/x?a=b");
        assert_eq!(below(&base, "api/x").as_str(), "http://h/studio/api/x");
    }
}
