//! Where a model is: the uri, taken apart.

use std::{fmt, path::PathBuf};

use oci_client::Reference;
use reqwest::Url;

use super::error::{FetchError, FetchReason, fail};

/// A parsed uri.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An artifact in a registry.
    Oci(Box<Reference>),
    /// A file on a web server.
    Https(Url),
    /// An object in a cloud's store.
    Object(Object),
    /// A file here.
    File(PathBuf),
}

/// Whose store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon S3, or a server that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
}

impl Cloud {
    /// The scheme of its uris.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where.
    pub cloud: Cloud,
    /// Bucket, or container.
    pub bucket: String,
    /// Key, or blob: not percent-encoded.
    pub key: String,
}

impl Source {
    /// Parses `oci://`, `https://`, `s3://`, `gs://`, `az://` and `file://`.
    pub fn parse(uri: &str) -> Result<Self, FetchError> {
        let invalid = |what: &str| {
            fail(
                FetchReason::InvalidUri,
                format!(
                    "{what}; give oci://host/repo@sha256:…, https://…, s3://bucket/key, gs://bucket/key, \
                     az://container/blob or file:///path"
                ),
            )
        };
        match uri.split_once("://") {
            Some(("oci", rest)) => match reference(rest) {
                Ok(reference) => Ok(Self::Oci(Box::new(reference))),
                Err(what) => invalid(&what),
            },
            Some(("https", _)) => match Url::parse(uri) {
                Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                    invalid("an https uri must not hold credentials")
                }
                Ok(url) if url.host_str().is_some() => Ok(Self::Https(url)),
                _ => invalid("the https uri cannot be parsed"),
            },
            Some(("s3", rest)) => object(Cloud::S3, rest).or_else(|what| invalid(&what)),
            Some(("gs", rest)) => object(Cloud::Gs, rest).or_else(|what| invalid(&what)),
            Some(("az", rest)) => object(Cloud::Az, rest).or_else(|what| invalid(&what)),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            Some(("file", _)) => invalid("a file uri needs an absolute path"),
            Some((scheme, _)) => {
                let scheme: String = scheme
                    .chars()
                    .filter(char::is_ascii_alphanumeric)
                    .take(20)
                    .collect();
                invalid(&format!("scheme `{scheme}` is not supported"))
            }
            None => invalid("the uri has no scheme"),
        }
    }
}

impl fmt::Display for Source {
    /// Without the query of an https uri: signed urls carry their secret there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci(reference) => write!(f, "oci://{}", reference.whole()),
            Self::Https(url) => write!(f, "https://{}{}", url.authority(), url.path()),
            Self::Object(object) => write!(f, "{}://{}/{}", object.cloud.scheme(), object.bucket, object.key),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

fn object(cloud: Cloud, rest: &str) -> Result<Source, String> {
    let scheme = cloud.scheme();
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(plain) {
        return Err(format!(
            "a {scheme} uri begins with a bucket of 3 to 63 lower-case letters, digits and -._"
        ));
    }
    let segments = || key.split('/');
    if segments().any(|s| matches!(s, "" | "." | "..")) || key.contains(['?', '#']) {
        return Err(format!(
            "a {scheme} uri ends in the object's key, without empty parts, . and .., ? and #"
        ));
    }
    Ok(Source::Object(Object {
        cloud,
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    }))
}

fn reference(text: &str) -> Result<Reference, String> {
    let host = text.split('/').next().unwrap_or_default();
    if !text.contains('/') || !(host.contains(['.', ':']) || host == "localhost") {
        return Err("an oci uri begins with the registry's host".to_owned());
    }
    let reference: Reference = text
        .parse()
        .map_err(|error| format!("the oci reference cannot be parsed: {error}"))?;
    if reference
        .digest()
        .is_some_and(|d| !is_sha256(d.strip_prefix("sha256:").unwrap_or_default()))
    {
        return Err("an oci digest must be sha256: and 64 lower-case hex digits".to_owned());
    }
    Ok(reference)
}

/// The digest that the file must have: as given, or none when the manifest's digest will tell.
pub fn expected_digest(source: &Source, given: Option<&str>) -> Result<Option<String>, FetchError> {
    let given = given.map(str::trim).filter(|g| !g.is_empty());
    match (given, source) {
        (Some(hex), _) if is_sha256(hex) => Ok(Some(hex.to_owned())),
        (Some(_), _) => fail(
            FetchReason::InvalidUri,
            "--sha256 must be 64 lower-case hex digits",
        ),
        (None, Source::Oci(reference)) if reference.digest().is_some() => Ok(None),
        (None, _) => fail(
            FetchReason::InvalidUri,
            "--sha256 is needed, because the uri does not pin the digest of an OCI manifest",
        ),
    }
}

fn is_sha256(hex: &str) -> bool {
    hex.len() == 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_schemes_are_understood() {
        let oci = Source::parse(&format!("oci://10.0.0.1:5000/fraud/card@sha256:{HEX}")).unwrap();
        assert_eq!(
            oci.to_string(),
            format!("oci://10.0.0.1:5000/fraud/card@sha256:{HEX}")
        );
        let https = Source::parse("https://models.example/card.onnx?signature=secret").unwrap();
        assert_eq!(https.to_string(), "https://models.example/card.onnx");
        for uri in [
            "s3://fraud-models/card/2026.11.onnx",
            "gs://fraud_models/a b/m.onnx",
            "az://models/m.onnx",
        ] {
            assert_eq!(Source::parse(uri).unwrap().to_string(), uri);
        }
        assert_eq!(
            Source::parse("file:///tmp/m.onnx").unwrap(),
            Source::File("/tmp/m.onnx".into())
        );
    }

    #[test]
    fn unusable_uris_are_refused() {
        for uri in [
            "",
            "card.onnx",
            "http://models.example/card.onnx",
            "s3://bucket",
            "s3://bucket/",
            "s3://bucket/a//b",
            "s3://bucket/../b",
            "s3://bucket/a?versionId=1",
            "s3://Bucket/a",
            "gs://b/a",
            "az:///a",
            "pvc://claim/m.onnx",
            "oci://card:1",
            "oci://fraud/card:1",
            "oci://registry.example/Card:1",
            "oci://registry.example/card@sha256:12",
            "https://user:word@models.example/card.onnx",
            "https://",
            "file://relative/m.onnx",
        ] {
            assert_eq!(
                Source::parse(uri).unwrap_err().reason,
                FetchReason::InvalidUri,
                "{uri}"
            );
        }
    }

    #[test]
    fn a_digest_is_needed_unless_the_manifest_is_pinned() {
        let pinned = Source::parse(&format!("oci://r.example/card@sha256:{HEX}")).unwrap();
        let tagged = Source::parse("oci://r.example/card:1").unwrap();
        assert_eq!(expected_digest(&pinned, None), Ok(None));
        assert_eq!(expected_digest(&tagged, Some(HEX)), Ok(Some(HEX.to_owned())));
        for (source, given) in [(&tagged, None), (&tagged, Some("")), (&pinned, Some("ABC"))] {
            assert!(expected_digest(source, given).is_err());
        }
    }
}
