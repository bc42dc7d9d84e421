//! The HTTP client that carries all requests, and the certificates that it trusts.
//!
//! TLS is rustls with the certificates of the system. `SSL_CERT_FILE`, or `REQUESTS_CA_BUNDLE` as in Python
//! programs, adds those of a company or of a test.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder};

use super::LabelStudioError;

/// Environment variables that name files of further certificates.
const CERTIFICATE_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];

/// Makes an HTTP client. `timeout` is for a whole request; without `proxies` it ignores those that the
/// environment names.
pub fn client(
    connect_timeout: Duration,
    timeout: Duration,
    proxies: bool,
) -> Result<Client, LabelStudioError> {
    // An error means that one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let extra =
        certificates(CERTIFICATE_VARIABLES.into_iter().filter_map(env::var_os).map(PathBuf::from))?;
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("label-studio-ml/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .timeout(timeout);
        if proxies { builder } else { builder.no_proxy() }
    };
    let trusting = |builder: ClientBuilder| builder.tls_certs_merge(extra.clone());
    trusting(builder())
        .build()
        // Plain http must work in a slim container too, which has no certificates at all.
        .or_else(|_| builder().tls_certs_only(extra.clone()).build())
        .map_err(LabelStudioError::Setup)
}

fn certificates(
    files: impl Iterator<Item = PathBuf>,
) -> Result<Vec<Certificate>, LabelStudioError> {
    let mut all = Vec::new();
    for path in files.filter(|path| !path.as_os_str().is_empty() && !path.is_dir()) {
        all.extend(read(&path)?);
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<Certificate>, LabelStudioError> {
    let failed = |reason: String| LabelStudioError::CertificateFile {
        path: path.to_owned(),
        reason: format!(
            "no certificates could be read from it ({reason}); correct SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
        ),
    };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    Certificate::from_pem_bundle(&text).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = certificates([PathBuf::from("/no/such.pem")].into_iter()).unwrap_err();
        assert!(error.to_string().starts_with("/no/such.pem: no certificates"), "{error}");
    }

    #[test]
    fn empty_names_and_folders_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let files = [PathBuf::new(), dir.path().to_owned()];
        assert!(certificates(files.into_iter()).unwrap().is_empty());
    }
}
