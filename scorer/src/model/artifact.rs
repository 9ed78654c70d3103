//! `fetch`: a model file from an OCI registry, an HTTPS server or a directory, checked and put in place.
//!
//! The file appears under its name only when it is complete and has the right digest; what fails leaves nothing behind.

mod credentials;
mod download;
mod error;
mod oci;
mod retry;
mod source;
mod target;

use std::{fs::OpenOptions, io::Write, path::Path, process::ExitCode};

use tokio::time::timeout;

pub use error::{FetchError, FetchReason};

use crate::config::FetchArgs;
use error::fail;
use source::Source;
use target::Target;

/// Fetches, and reports a failure on stderr and in the termination log.
pub fn run(arguments: &FetchArgs) -> ExitCode {
    // The one provider of this program; a second call in one process changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(fetch(arguments)) {
        Ok(sha256) => {
            tracing::info!(sha256, to = %arguments.to.display(), "model in place");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let line = line_of(&error);
            eprintln!("{line}");
            note(&arguments.termination_log, &line);
            ExitCode::FAILURE
        }
    }
}

/// Fetches the model and answers its SHA-256.
pub async fn fetch(arguments: &FetchArgs) -> Result<String, FetchError> {
    let source = Source::parse(&arguments.uri)?;
    let sha256 = source::expected_digest(&source, arguments.sha256.as_deref())?;
    if let Some(sha256) = &sha256
        && target::has_digest(&arguments.to, sha256, arguments.max_bytes)
    {
        tracing::info!("the file is there already");
        return Ok(sha256.clone());
    }
    let attempts = retry::run(arguments.retries, || {
        attempt(arguments, &source, sha256.as_deref())
    });
    match timeout(arguments.timeout, attempts).await {
        Ok(outcome) => outcome,
        Err(_) => fail(
            FetchReason::Timeout,
            format!("{} did not arrive within {:?}", source, arguments.timeout),
        ),
    }
}

async fn attempt(arguments: &FetchArgs, source: &Source, sha256: Option<&str>) -> Result<String, FetchError> {
    let target = Target::create(&arguments.to, arguments.max_bytes)?;
    match source {
        Source::File(path) => target::copy(path, target, sha256),
        Source::Https(url) => {
            let client = download::client(&[])?;
            let target = download::stream(client.get(url.as_str()), target).await?;
            target.finish(sha256)
        }
        Source::Oci(reference) => {
            let registry = oci::Registry::open(reference, arguments).await?;
            let layer = registry.model_layer(sha256, arguments.max_bytes).await?;
            let target = download::stream(registry.blob(&layer), target).await?;
            target.finish(Some(&layer.sha256))
        }
    }
}

/// One line, short enough for a container's status.
fn line_of(error: &FetchError) -> String {
    let text = error.to_string();
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(1000)
        .collect()
}

fn note(log: &Path, line: &str) {
    // It exists in a pod; nowhere else is it made.
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).open(log) {
        let _ = file.write_all(line.as_bytes());
    }
}
