//! `fetch --verify-key`: only what our key has signed, as real cosign signs it into a real registry, and as an attacker would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{KeyPair, SigningKey};
use serde_json::{Value, json};

use crate::{
    origin::{Asked, Origin, Reply},
    registry::{Registry, find},
    resuming::noise,
    volume::{Volume, manifest, pinned, pull, registry, sha256},
};

const KIND: &str = "cosign container image signature";

fn payload(digest: &str, kind: &str) -> Vec<u8> {
    let image = json!({"docker-manifest-digest": digest});
    json!({"critical": {"identity": {"docker-reference": ""}, "image": image, "type": kind}, "optional": null})
        .to_string()
        .into_bytes()
}

/// The test registry, with a signature under the artifact's tag for it.
fn signed(payload: &[u8], signature: &str) -> impl Fn(&Asked) -> Reply + Send + Sync + use<> {
    let (payload, signature) = (payload.to_vec(), signature.to_owned());
    move |asked| {
        let layer = json!({
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "size": payload.len(),
            "digest": format!("sha256:{}", sha256(&payload)), "annotations": {"dev.cosignproject.cosign/signature": signature},
        });
        let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:00", "size": 2});
        let tag = format!(
            "/v2/fraud/tiny/manifests/sha256-{}.sig",
            sha256(manifest().as_bytes())
        );
        match asked.path.as_str() {
            path if path == tag => {
                Reply::ok(json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string())
            }
            path if path.ends_with(&sha256(&payload)) => Reply::ok(payload.clone()),
            _ => registry(asked),
        }
    }
}

/// A key pair, and its public half in a file of the volume.
fn key(volume: &Volume) -> (KeyPair, PathBuf) {
    let (pair, file) = (
        KeyPair::generate().unwrap(),
        volume.directory.path().join("cosign.pub"),
    );
    fs::write(&file, pair.public_key_pem()).unwrap();
    (pair, file)
}

fn verify(file: &Path) -> [&str; 2] {
    ["--verify-key", file.to_str().unwrap()]
}

#[test]
fn a_signature_counts_for_its_own_artifact_and_key_only() {
    let ours = format!("sha256:{}", sha256(manifest().as_bytes()));
    let other = format!("sha256:{}", sha256(b"other"));
    for (payload, by_us, problem) in [
        (payload(&ours, KIND), true, None),
        (payload(&ours, KIND), false, Some("not of our key")),
        (payload(&other, KIND), true, Some("for another digest")),
        (
            payload(&ours, "attestation"),
            true,
            Some("not an image signature"),
        ),
        (b"{".to_vec(), true, Some("malformed")),
    ] {
        let volume = Volume::new();
        let (pair, file) = key(&volume);
        let signer = if by_us { pair } else { KeyPair::generate().unwrap() };
        let signature = STANDARD.encode(signer.sign(&payload).unwrap());
        let origin = Origin::http(signed(&payload, &signature));
        let output = pull(&volume, &origin, &pinned(&origin), &verify(&file));
        match problem {
            None => volume.assert_fetched(&output),
            Some(problem) => {
                let message = volume.assert_failed(&output, "SignatureInvalid");
                assert!(message.contains(problem), "{message}");
                let model = origin
                    .paths()
                    .iter()
                    .any(|p| p.ends_with(&sha256(&crate::volume::model())));
                assert!(!model, "the model itself is not asked for");
            }
        }
    }
}

#[test]
fn an_artifact_without_a_signature_and_a_key_that_is_none_are_refused() {
    let (volume, origin) = (Volume::new(), Origin::http(registry));
    let (_, file) = key(&volume);
    volume.assert_failed(
        &pull(&volume, &origin, &pinned(&origin), &verify(&file)),
        "NotSigned",
    );
    fs::write(&file, "no key").unwrap();
    let asked = origin.paths().len();
    volume.assert_failed(
        &pull(&volume, &origin, &pinned(&origin), &verify(&file)),
        "SignatureInvalid",
    );
    assert_eq!(origin.paths().len(), asked);
    let gone = ["--verify-key", "/nowhere/cosign.pub"];
    volume.assert_failed(
        &pull(&volume, &origin, &pinned(&origin), &gone),
        "SignatureInvalid",
    );
}

#[test]
fn documents_that_are_too_large_are_not_read() {
    let volume = Volume::new();
    let (_, file) = key(&volume);
    let origin = Origin::http(signed(&vec![b' '; 100_000], "AAAA"));
    volume.assert_failed(
        &pull(&volume, &origin, &pinned(&origin), &verify(&file)),
        "TooLarge",
    );
}

#[test]
fn a_signature_is_looked_for_even_when_the_file_is_cached() {
    let (volume, cache) = (Volume::new(), tempfile::tempdir().unwrap());
    let origin = Origin::http(registry);
    let (_, file) = key(&volume);
    let digest = sha256(&crate::volume::model());
    let arguments = ["--cache", cache.path().to_str().unwrap(), "--sha256", &digest];
    let first = Volume::new();
    first.assert_fetched(&pull(&first, &origin, &pinned(&origin), &arguments));
    let arguments = [&arguments[..], &verify(&file)].concat();
    volume.assert_failed(&pull(&volume, &origin, &pinned(&origin), &arguments), "NotSigned");
}

#[test]
fn a_key_for_what_is_no_artifact_is_refused() {
    let volume = Volume::new();
    let (_, file) = key(&volume);
    let digest = sha256(b"x");
    let arguments = [&["--sha256", &digest][..], &verify(&file)].concat();
    volume.assert_failed(
        &volume.fetch("https://models.example/m.onnx", &arguments),
        "InvalidURI",
    );
}

/// cosign in a folder of its own, with a key pair.
struct Cosign {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Cosign {
    fn new() -> Option<Self> {
        let cosign = Self {
            program: find("cosign")?,
            folder: tempfile::tempdir().unwrap(),
        };
        cosign.run(&["generate-key-pair"]);
        Some(cosign)
    }

    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path());
        let output = command
            .env("COSIGN_PASSWORD", "")
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Signs an artifact of `registry`; `bundle`: in cosign 3's form.
    fn sign(&self, registry: &Registry, digest: &str, bundle: bool) {
        let reference = format!("{}/fraud/card@sha256:{digest}", registry.0.address);
        let form = format!("--new-bundle-format={bundle}");
        let offline = [
            "--tlog-upload=false",
            "--use-signing-config=false",
            "--allow-http-registry",
            "--yes",
        ];
        let key = ["sign", "--key", "cosign.key", &form, &reference];
        self.run(&[&key[..], &offline].concat());
    }

    fn public_key(&self) -> PathBuf {
        self.folder.path().join("cosign.pub")
    }
}

#[test]
fn what_cosign_signed_into_a_registry_is_accepted_in_both_of_its_forms() {
    let (Some(registry), Some(cosign)) = (Registry::start(), Cosign::new()) else {
        return;
    };
    let host = registry.0.address.to_string();
    for (tag, bundle) in [("old", false), ("new", true)] {
        let model = noise(10_000, u64::from(bundle));
        let digest = registry.push(tag, &model);
        let uri = format!("oci://{host}/fraud/card@sha256:{digest}");
        let public = cosign.public_key();
        let arguments = [
            &["--insecure-registry", &host, "--retries", "0"][..],
            &verify(&public),
        ]
        .concat();
        let volume = Volume::new();
        volume.assert_failed(&volume.fetch(&uri, &arguments), "NotSigned");
        cosign.sign(&registry, &digest, bundle);
        let output = volume.fetch(&uri, &arguments);
        assert!(
            output.status.success(),
            "{tag}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        volume.assert_content(&model);
        let stranger = Volume::new();
        let (_, other) = key(&stranger);
        let arguments = [&arguments[..4], &verify(&other)].concat();
        stranger.assert_failed(&stranger.fetch(&uri, &arguments), "SignatureInvalid");
    }
}

#[test]
fn a_bundle_of_another_artifact_does_not_count() {
    let (Some(registry), Some(cosign)) = (Registry::start(), Cosign::new()) else {
        return;
    };
    let host = registry.0.address.to_string();
    let (good, bad) = (registry.push("good", b"good"), registry.push("bad", b"bad"));
    cosign.sign(&registry, &good, true);
    // Whoever can push puts the good artifact's signatures under the bad one's tag.
    let index: Value = serde_json::from_str(&registry.manifest(&format!("sha256-{good}"))).unwrap();
    registry.push_manifest(
        &format!("sha256-{bad}"),
        "application/vnd.oci.image.index.v1+json",
        &index.to_string(),
    );
    let key = cosign.public_key();
    let arguments = [
        &["--insecure-registry", &host, "--retries", "0"][..],
        &verify(&key),
    ]
    .concat();
    let volume = Volume::new();
    let uri = format!("oci://{host}/fraud/card@sha256:{bad}");
    let message = volume.assert_failed(&volume.fetch(&uri, &arguments), "SignatureInvalid");
    assert!(message.contains("for another digest"), "{message}");
}
