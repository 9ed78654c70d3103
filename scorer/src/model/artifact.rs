//! `fetch`: a model file from an OCI registry, an HTTPS server, a cloud's store or a directory, checked and put in place.
//!
//! The file appears under its name only when it is complete and has the right digest; what fails leaves nothing behind.

mod arguments;
mod cache;
mod credentials;
mod download;
mod error;
mod guard;
mod identity;
mod object;
mod oci;
mod resume;
mod retry;
mod settings;
mod signature;
mod source;
mod target;
mod token;

use std::{fs::OpenOptions, io::Write, path::Path, process::ExitCode};

use tokio::time::timeout;

pub use arguments::SourceArgs;
pub use error::{FetchError, FetchReason};

use crate::config::FetchArgs;
use cache::Cache;
use error::fail;
use object::Store;
use oci_client::Reference;
use reqwest::Url;
use resume::{Partial, Point};
use settings::Settings;
use signature::Keys;
use source::{Object, Source};
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
    if arguments.sources.verify_key.is_some() && !matches!(source, Source::Oci(_)) {
        let message = "--verify-key checks OCI artifacts only; give an oci:// uri";
        return fail(FetchReason::InvalidUri, message);
    }
    // A signature is looked at each time: it may have been withdrawn with its key.
    if let Some(sha256) = sha256.as_ref().filter(|_| arguments.sources.verify_key.is_none())
        && target::has_digest(&arguments.to, sha256, arguments.max_bytes)
    {
        tracing::info!("the file is there already");
        return Ok(sha256.clone());
    }
    let mut fetch = Fetch::new(arguments, sha256)?;
    let attempts = retry::run(arguments.retries, async || fetch.attempt(&source).await);
    let sha256 = match timeout(arguments.timeout, attempts).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            return fail(
                FetchReason::Timeout,
                format!("{} did not arrive within {:?}", source, arguments.timeout),
            );
        }
    };
    fetch.partial.target.finish(&sha256)?;
    // What is mounted into the pod is on the node already.
    if let Some(cache) = fetch.cache.filter(|_| !matches!(source, Source::File(_))) {
        cache.add(&sha256, &arguments.to);
    }
    Ok(sha256)
}

/// One fetch, over all its attempts.
struct Fetch<'a> {
    arguments: &'a FetchArgs,
    /// The digest of the file, where it is known from the beginning.
    sha256: Option<String>,
    keys: Option<Keys>,
    cache: Option<Cache>,
    partial: Partial,
    plain: Vec<String>,
}

impl<'a> Fetch<'a> {
    fn new(arguments: &'a FetchArgs, sha256: Option<String>) -> Result<Self, FetchError> {
        let sources = &arguments.sources;
        let cache = sources.cache.as_deref();
        let plain = arguments.insecure_registry.iter().filter(|host| !host.is_empty());
        let plain = plain.cloned().collect();
        Ok(Self {
            arguments,
            sha256,
            keys: sources.verify_key.as_deref().map(Keys::read).transpose()?,
            cache: cache.map(|directory| Cache::new(directory, sources.cache_max_bytes)),
            partial: Partial::new(Target::create(&arguments.to, arguments.max_bytes)?),
            plain,
        })
    }

    /// Brings the file, or what is still missing of it, and answers its digest.
    async fn attempt(&mut self, source: &Source) -> Result<String, FetchError> {
        let sha256 = self.sha256.clone();
        match (source, sha256) {
            (Source::Oci(reference), sha256) => self.oci(reference, sha256).await,
            (_, None) => fail(FetchReason::InvalidUri, "--sha256 is needed"),
            (Source::File(path), Some(sha256)) => {
                target::copy(path, &mut self.partial.target)?;
                self.partial.check(&sha256)?;
                Ok(sha256)
            }
            (Source::Https(url), Some(sha256)) => {
                if !self.cached(&sha256)? {
                    self.https(url).await?;
                }
                self.partial.check(&sha256)?;
                Ok(sha256)
            }
            (Source::Object(object), Some(sha256)) => {
                if !self.cached(&sha256)? {
                    self.object(object).await?;
                }
                self.partial.check(&sha256)?;
                Ok(sha256)
            }
        }
    }

    async fn oci(&mut self, reference: &Reference, sha256: Option<String>) -> Result<String, FetchError> {
        // A signature is about the manifest: with a key the registry is asked even for a cached file.
        if let Some(sha256) = sha256.as_deref().filter(|_| self.keys.is_none())
            && self.cached(sha256)?
        {
            return Ok(sha256.to_owned());
        }
        let registry = oci::Registry::open(reference, self.arguments, &self.plain).await?;
        let artifact = registry
            .artifact(sha256.as_deref(), self.arguments.max_bytes)
            .await?;
        if let Some(keys) = &self.keys {
            signature::check(&registry, &artifact.manifest, keys).await?;
            tracing::info!(manifest = artifact.manifest, "signed by our key");
        }
        let layer = artifact.layer;
        if !self.cached(&layer.sha256)? {
            let open = async |point: Option<Point>| download::open(registry.blob(&layer), point).await;
            self.partial.receive(true, open).await?;
        }
        self.partial.check(&layer.sha256)?;
        Ok(layer.sha256)
    }

    async fn https(&mut self, url: &Url) -> Result<(), FetchError> {
        download::admit(url, &[])?;
        let client = download::client(&[])?;
        let settings = self.settings()?;
        let open = async |point: Option<Point>| {
            let request = client.get(url.as_str());
            let request = match (settings.get(&["TOKEN"]), settings.get(&["USERNAME"])) {
                (Some(token), _) => request.bearer_auth(token),
                (None, Some(user)) => request.basic_auth(user, settings.get(&["PASSWORD"])),
                (None, None) => request,
            };
            download::open(request, point).await
        };
        self.partial.receive(false, open).await
    }

    async fn object(&mut self, object: &Object) -> Result<(), FetchError> {
        let metadata = self.arguments.sources.instance_metadata;
        let store = Store::open(object, self.settings()?, metadata, &self.plain)?;
        self.partial
            .receive(false, async |point: Option<Point>| store.get(point).await)
            .await
    }

    /// Whether the file came out of the cache. A file that is half here already is not looked for again.
    fn cached(&mut self, sha256: &str) -> Result<bool, FetchError> {
        match &self.cache {
            Some(cache) if self.partial.target.written() == 0 => cache.copy(sha256, &mut self.partial),
            _ => Ok(false),
        }
    }

    fn settings(&self) -> Result<Settings, FetchError> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Settings::read(&self.arguments.sources.credentials, environment)
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
