//! An artifact in an OCI registry: token, manifest, and the one layer that is the model.

use oci_client::{
    Client as TokenClient, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::{OciDescriptor, OciImageManifest},
    secrets::RegistryAuth,
};
use reqwest::{Client, RequestBuilder, header::ACCEPT};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    credentials, download,
    error::{FetchError, FetchReason, fail, try_again},
    target::hex,
};
use crate::config::FetchArgs;

const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
const MANIFEST_TYPES: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
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

/// One repository, with what it takes to get in.
pub struct Registry<'a> {
    reference: &'a Reference,
    client: Client,
    scheme: &'static str,
    auth: RegistryAuth,
}

impl<'a> Registry<'a> {
    /// Finds credentials and gets a token, if the registry asks for one.
    pub async fn open(reference: &'a Reference, arguments: &FetchArgs) -> Result<Self, FetchError> {
        let plain: Vec<String> = arguments
            .insecure_registry
            .iter()
            .filter(|h| !h.is_empty())
            .cloned()
            .collect();
        let host = reference.resolve_registry();
        let scheme = if plain.iter().any(|p| p == host) {
            "http"
        } else {
            "https"
        };
        let auth = credentials::find(&arguments.docker_config, host)?;
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain.clone()),
            connect_timeout: Some(std::time::Duration::from_secs(10)),
            read_timeout: Some(std::time::Duration::from_secs(30)),
            ..ClientConfig::default()
        };
        let tokens = TokenClient::try_from(config).map_err(|error| refused(&error, host))?;
        let token = tokens.auth(reference, &auth, RegistryOperation::Pull).await;
        let auth = match token.map_err(|error| refused(&error, host))? {
            Some(token) => RegistryAuth::Bearer(token),
            None => auth,
        };
        Ok(Self {
            reference,
            client: download::client(&plain)?,
            scheme,
            auth,
        })
    }

    /// Reads the manifest and picks the model, which must have the expected digest if there is one.
    pub async fn model_layer(&self, sha256: Option<&str>, limit: u64) -> Result<Layer, FetchError> {
        let name = self
            .reference
            .digest()
            .or(self.reference.tag())
            .unwrap_or("latest");
        let request = self.get("manifests", name).header(ACCEPT, MANIFEST_TYPES);
        let manifest = download::small(request, MAX_MANIFEST_BYTES).await?;
        if let Some(pinned) = self.reference.digest() {
            let found = format!("sha256:{}", hex(Sha256::new_with_prefix(&manifest)));
            if found != pinned {
                return fail(
                    FetchReason::DigestMismatch,
                    format!("the manifest has digest {found}, {pinned} is pinned"),
                );
            }
        }
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
        Ok(layer)
    }

    /// The request for a layer.
    pub fn blob(&self, layer: &Layer) -> RequestBuilder {
        self.get("blobs", &format!("sha256:{}", layer.sha256))
    }

    fn get(&self, kind: &str, name: &str) -> RequestBuilder {
        let (host, repository) = (self.reference.resolve_registry(), self.reference.repository());
        let request = self
            .client
            .get(format!("{}://{host}/v2/{repository}/{kind}/{name}", self.scheme));
        match &self.auth {
            RegistryAuth::Anonymous => request,
            RegistryAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
            RegistryAuth::Bearer(token) => request.bearer_auth(token),
        }
    }
}

fn refused(error: &OciDistributionError, host: &str) -> FetchError {
    match error {
        OciDistributionError::RequestError(error) => download::broken(error),
        // Without the registry's words: nobody knows what they quote.
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::RegistryTokenDecodeError(_) => FetchError {
            reason: FetchReason::Unauthorized,
            message: format!(
                "{host} gives no token for this repository; check the pull secret and its rights"
            ),
            transient: false,
        },
        other => try_again(format!("{host}: {other}")),
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
