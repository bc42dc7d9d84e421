//! The address of a Label Studio server, as people write it.

use reqwest::Url;

use super::LabelStudioError;

/// First path segments of pages: where the base address ends in an address that was copied from a browser.
const PAGES: [&str; 3] = ["projects", "api", "user"];

/// Normalises an address: adds a missing `http://`, cuts off the path of a page, ends a base path with `/`.
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
        // The message must not show them.
        return Err(LabelStudioError::Address {
            given: url.host_str().unwrap_or_default().to_owned(),
            reason: "it cannot contain a user and a password".into(),
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

/// The address of `path` (and query) below `base`, whose own path is kept.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, q)| (path, Some(q)));
    url.set_path(&format!("{}{}", base.path(), path.trim_start_matches('/')));
    url.set_query(query);
    url
}

/// The address without the slash at its end, as people write it.
pub(super) fn without_slash(base: &Url) -> &str {
    base.as_str().trim_end_matches('/')
}

/// Whether the host is this machine, which no proxy reaches.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
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
            assert_eq!(without_slash(&normalise(given).unwrap()), base, "{given}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
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
