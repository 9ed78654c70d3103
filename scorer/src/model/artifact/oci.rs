//! An artifact in an OCI registry: token, manifest, and the one layer that is the model.

use oci_client::{
    Reference,
    manifest::{OciDescriptor, OciImageManifest},
    secrets::RegistryAuth,
};
use reqwest::{Client, RequestBuilder, header::ACCEPT};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    credentials, download,
    error::{FetchError, FetchReason, fail},
    target::hex,
    token,
};
use crate::config::FetchArgs;

const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.image.index.v1+json";
const WEIGHTS: &str = "application/vnd.cncf.model.weight.v1.raw";
const FILE_NAMES: [&str; 3] = [
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
    "org.opencontainers.image.title",
];

/// The layer that is the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its digest, without the algorithm.
    pub sha256: String,
    /// Its size.
    pub size: u64,
}

/// A manifest's digest, and the model in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Digest of the manifest, without the algorithm: what a signature is about.
    pub manifest: String,
    /// The model.
    pub layer: Layer,
}

/// One repository, with what it takes to get in.
pub struct Registry<'a> {
    reference: &'a Reference,
    client: Client,
    base: String,
    auth: RegistryAuth,
}

impl<'a> Registry<'a> {
    /// Finds credentials and gets a token, if the registry asks for one.
    pub async fn open(
        reference: &'a Reference,
        arguments: &FetchArgs,
        plain: &[String],
    ) -> Result<Self, FetchError> {
        let host = reference.resolve_registry();
        let scheme = if plain.iter().any(|p| p == host) {
            "http"
        } else {
            "https"
        };
        let base = format!("{scheme}://{host}");
        let client = download::client(plain)?;
        if let Ok(url) = base.parse() {
            download::admit(&url, plain)?;
        }
        let auth = credentials::find(&arguments.docker_config, host)?;
        let auth = token::authorize(&client, &base, reference.repository(), auth, plain).await?;
        Ok(Self {
            reference,
            client,
            base,
            auth,
        })
    }

    /// Reads the manifest and picks the model, which must have the expected digest if there is one.
    pub async fn artifact(&self, sha256: Option<&str>, limit: u64) -> Result<Artifact, FetchError> {
        let name = self
            .reference
            .digest()
            .or(self.reference.tag())
            .unwrap_or("latest");
        let manifest = self.manifest(name).await?;
        let layer = pick(&manifest)?;
        if layer.size > limit {
            let message = format!(
                "the model has {} bytes, {limit} are allowed (--max-bytes)",
                layer.size
            );
            return fail(FetchReason::TooLarge, message);
        }
        if let Some(wanted) = sha256.filter(|wanted| *wanted != layer.sha256) {
            let message = format!(
                "the artifact's model has sha256 {}, {wanted} is expected",
                layer.sha256
            );
            return fail(FetchReason::DigestMismatch, message);
        }
        Ok(Artifact {
            manifest: sha256_of(&manifest),
            layer,
        })
    }

    /// Reads a manifest by tag or by digest.
    pub async fn manifest(&self, name: &str) -> Result<Vec<u8>, FetchError> {
        let request = self.get("manifests", name).header(ACCEPT, MANIFEST_TYPES);
        let manifest = download::small(request, MAX_MANIFEST_BYTES).await?;
        matches(name, &manifest)?;
        Ok(manifest)
    }

    /// Reads the index of what refers to a manifest (distribution specification 1.1).
    pub async fn referrers(&self, sha256: &str) -> Result<Vec<u8>, FetchError> {
        let request = self.get("referrers", &format!("sha256:{sha256}"));
        download::small(request, MAX_MANIFEST_BYTES).await
    }

    /// Reads a blob of at most `limit` bytes.
    pub async fn small_blob(&self, digest: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let blob = download::small(self.get("blobs", digest), limit).await?;
        matches(digest, &blob)?;
        Ok(blob)
    }

    /// The request for a layer.
    pub fn blob(&self, layer: &Layer) -> RequestBuilder {
        self.get("blobs", &format!("sha256:{}", layer.sha256))
    }

    fn get(&self, kind: &str, name: &str) -> RequestBuilder {
        let (base, repository) = (&self.base, self.reference.repository());
        let request = self.client.get(format!("{base}/v2/{repository}/{kind}/{name}"));
        match &self.auth {
            RegistryAuth::Anonymous => request,
            RegistryAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
            RegistryAuth::Bearer(token) => request.bearer_auth(token),
        }
    }
}

fn sha256_of(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// Fails when `name` is a digest, and another one than that of `bytes`.
fn matches(name: &str, bytes: &[u8]) -> Result<(), FetchError> {
    let found = sha256_of(bytes);
    match name.strip_prefix("sha256:") {
        Some(pinned) if pinned != found => fail(
            FetchReason::DigestMismatch,
            format!("the registry's answer has digest sha256:{found}, sha256:{pinned} is pinned"),
        ),
        _ => Ok(()),
    }
}

/// The model among the layers: a ModelPack weight, or the only layer when its title ends in .onnx.
fn pick(manifest: &[u8]) -> Result<Layer, FetchError> {
    let not_a_model = |what: String| {
        let advice = "push the .onnx as a ModelPack weight layer, or alone with a title that ends in .onnx";
        fail(FetchReason::NotAModel, format!("{what}; {advice}"))
    };
    let Ok(value) = serde_json::from_slice::<Value>(manifest) else {
        return not_a_model("the manifest is no JSON".to_owned());
    };
    if value.get("manifests").is_some() {
        return not_a_model("the artifact is an index of several manifests".to_owned());
    }
    let Ok(manifest) = serde_json::from_value::<OciImageManifest>(value) else {
        return not_a_model("the manifest is no OCI image manifest".to_owned());
    };
    let named = |layer: &&OciDescriptor| {
        let annotations = layer.annotations.as_ref();
        let mut names = FILE_NAMES.iter().filter_map(|key| annotations?.get(*key));
        names.any(|name| name.ends_with(".onnx"))
    };
    let weights: Vec<_> = manifest
        .layers
        .iter()
        .filter(|l| l.media_type == WEIGHTS)
        .filter(named)
        .collect();
    let only = manifest.layers.len() == 1 && manifest.layers.iter().any(|l| named(&l));
    let layer = match weights.as_slice() {
        [layer] => layer,
        [] if only => &manifest.layers[0],
        [] => {
            return not_a_model(format!(
                "none of the {} layers is an .onnx file",
                manifest.layers.len()
            ));
        }
        several => return not_a_model(format!("{} layers are .onnx files", several.len())),
    };
    match (layer.digest.strip_prefix("sha256:"), u64::try_from(layer.size)) {
        (Some(sha256), Ok(size)) if sha256.len() == 64 => Ok(Layer {
            sha256: sha256.to_owned(),
            size,
        }),
        _ => not_a_model("the layer has no sha256 digest or no size".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use serde_json::json;

    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn layer(kind: &str, annotation: &str, name: &str) -> Value {
        json!({"mediaType": kind, "digest": format!("sha256:{HEX}"), "size": 7, "annotations": {annotation: name}})
    }

    fn pick_of(layers: &[Value]) -> Result<Layer, FetchError> {
        let config = json!({"mediaType": "application/vnd.cncf.model.config.v1+json", "digest": format!("sha256:{HEX}"), "size": 2});
        pick(
            json!({"schemaVersion": 2, "config": config, "layers": layers})
                .to_string()
                .as_bytes(),
        )
    }

    #[test]
    fn the_weight_of_a_modelpack_is_picked_among_other_layers() {
        let card = layer(
            "application/vnd.cncf.model.doc.v1.raw",
            "org.cncf.model.filepath",
            "README.md",
        );
        let weight = layer(WEIGHTS, "org.cncf.model.filepath", "card.onnx");
        assert_eq!(
            pick_of(&[card, weight]),
            Ok(Layer {
                sha256: HEX.into(),
                size: 7
            })
        );
    }

    #[test]
    fn a_single_layer_with_an_onnx_title_is_picked() {
        let title = "org.opencontainers.image.title";
        assert!(pick_of(&[layer("application/octet-stream", title, "card.onnx")]).is_ok());
    }

    #[test]
    fn other_artifacts_are_no_model() {
        let title = "org.opencontainers.image.title";
        let image = layer("application/vnd.oci.image.layer.v1.tar+gzip", title, "layer.tar");
        let onnx = layer("application/octet-stream", title, "card.onnx");
        let weight = layer(WEIGHTS, title, "card.onnx");
        for layers in [
            &[][..],
            slice::from_ref(&image),
            &[image.clone(), onnx],
            &[weight.clone(), weight],
        ] {
            assert_eq!(
                pick_of(layers).unwrap_err().reason,
                FetchReason::NotAModel,
                "{layers:?}"
            );
        }
        assert!(pick(b"{\"manifests\":[]}").is_err() && pick(b"<html>").is_err());
    }
}
