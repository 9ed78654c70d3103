//! Whether one of our keys has signed an OCI artifact with cosign. Both of its forms are understood: the payload under the
//! tag `sha256-<digest>.sig` (cosign 1 and 2), and the bundle that refers to the artifact (cosign 3).
//!
//! Not looked at: transparency logs, certificates and identities. What counts is the key.

mod bundle;
mod key;
mod payload;

use oci_client::manifest::OciImageManifest;
use serde::Deserialize;
use serde_json::from_slice;

pub use key::Keys;

use super::{
    error::{FetchError, FetchReason, fail},
    oci::Registry,
};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
const MAX_BUNDLE_BYTES: usize = 1024 * 1024;
/// Signatures of each form that are looked at.
const MAX_SIGNATURES: usize = 16;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    digest: String,
    artifact_type: Option<String>,
}

/// Fails unless one of `keys` has signed the manifest with the digest `sha256`.
pub async fn check(registry: &Registry<'_>, sha256: &str, keys: &Keys) -> Result<(), FetchError> {
    let mut problems = vec![];
    for signature in [
        payloads(registry, sha256, keys).await?,
        bundles(registry, sha256, keys).await?,
    ] {
        match signature {
            Found::Good => return Ok(()),
            Found::Bad(mut found) => problems.append(&mut found),
        }
    }
    problems.dedup();
    if problems.is_empty() {
        return fail(
            FetchReason::NotSigned,
            format!(
                "there is no cosign signature for sha256:{sha256} in its repository; sign it with `cosign sign --key`"
            ),
        );
    }
    fail(
        FetchReason::SignatureInvalid,
        format!("no signature for sha256:{sha256} counts: {}", problems.join("; ")),
    )
}

/// A good signature, or what is wrong with each of those that are there.
enum Found {
    Good,
    Bad(Vec<String>),
}

async fn payloads(registry: &Registry<'_>, sha256: &str, keys: &Keys) -> Result<Found, FetchError> {
    let Some(manifest) = present(registry.manifest(&format!("sha256-{sha256}.sig")).await)? else {
        return Ok(Found::Bad(vec![]));
    };
    let Ok(manifest) = from_slice::<OciImageManifest>(&manifest) else {
        return Ok(Found::Bad(vec![
            "the signature's manifest is no OCI manifest".to_owned(),
        ]));
    };
    let mut problems = vec![];
    let layers = manifest.layers.iter().filter(|l| l.media_type == PAYLOAD);
    for layer in layers.take(MAX_SIGNATURES) {
        let annotation = layer.annotations.as_ref().and_then(|a| a.get(SIGNATURE));
        let Some(signature) = annotation else {
            problems.push("a payload has no signature".to_owned());
            continue;
        };
        let blob = registry.small_blob(&layer.digest, MAX_PAYLOAD_BYTES).await?;
        match payload::verify(&blob, signature, sha256, keys) {
            Ok(()) => return Ok(Found::Good),
            Err(problem) => problems.push(problem.to_owned()),
        }
    }
    Ok(Found::Bad(problems))
}

async fn bundles(registry: &Registry<'_>, sha256: &str, keys: &Keys) -> Result<Found, FetchError> {
    let mut problems = vec![];
    for digest in referrers(registry, sha256).await? {
        let manifest = registry.manifest(&digest).await?;
        let Ok(manifest) = from_slice::<OciImageManifest>(&manifest) else {
            problems.push("a bundle's manifest is no OCI manifest".to_owned());
            continue;
        };
        for layer in manifest
            .layers
            .iter()
            .filter(|l| l.media_type.starts_with(BUNDLE))
            .take(1)
        {
            let blob = registry.small_blob(&layer.digest, MAX_BUNDLE_BYTES).await?;
            match bundle::verify(&blob, sha256, keys) {
                Ok(()) => return Ok(Found::Good),
                Err(problem) => problems.push(problem.to_owned()),
            }
        }
    }
    Ok(Found::Bad(problems))
}

/// Digests of the bundles that refer to a manifest: asked of the registry, or read from the tag that stands in where the
/// registry is older than that question.
async fn referrers(registry: &Registry<'_>, sha256: &str) -> Result<Vec<String>, FetchError> {
    let index = match present(registry.referrers(sha256).await)? {
        Some(index) => Some(index),
        None => present(registry.manifest(&format!("sha256-{sha256}")).await)?,
    };
    let index = index.and_then(|index| from_slice::<Index>(&index).ok());
    // The tag that stands in is written by cosign, which tells the kind of the empty config there.
    let is_bundle = |entry: &Entry| {
        let kind = entry.artifact_type.as_deref().unwrap_or(EMPTY);
        entry.digest.starts_with("sha256:") && (kind.starts_with(BUNDLE) || kind == EMPTY)
    };
    Ok(index
        .map(|index| index.manifests)
        .unwrap_or_default()
        .into_iter()
        .filter(is_bundle)
        .take(MAX_SIGNATURES)
        .map(|entry| entry.digest)
        .collect())
}

/// None where there is nothing.
fn present(answer: Result<Vec<u8>, FetchError>) -> Result<Option<Vec<u8>>, FetchError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.reason == FetchReason::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
