//! cosign's first form: a "simple signing" payload that names the digest, and a signature over the payload's bytes.

use serde::Deserialize;

use super::Keys;

/// What every such payload says of itself.
const KIND: &str = "cosign container image signature";

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Checks `signature` over `payload`, and that the payload is about the manifest with the digest `sha256`.
pub fn verify(payload: &[u8], signature: &str, sha256: &str, keys: &Keys) -> Result<(), &'static str> {
    // The signature comes first: nothing is parsed that nobody vouches for.
    if !keys.accept(payload, signature) {
        return Err("a signature is not of our key");
    }
    let Ok(payload) = serde_json::from_slice::<Payload>(payload) else {
        return Err("a signed payload is malformed");
    };
    if payload.critical.kind != KIND {
        return Err("a signed payload is not an image signature");
    }
    if payload.critical.image.digest.strip_prefix("sha256:") != Some(sha256) {
        return Err("a signature is for another digest");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::artifact::signature::key::tests::Signer;

    #[test]
    fn a_payload_counts_only_for_its_own_digest_and_kind() {
        let signer = Signer::new();
        let payload = |digest: &str, kind: &str| {
            let identity = json!({"docker-reference": "r.example/fraud"});
            let image = json!({"docker-manifest-digest": digest});
            json!({"critical": {"identity": identity, "image": image, "type": kind}, "optional": null})
                .to_string()
        };
        let verified = |payload: &str| {
            verify(
                payload.as_bytes(),
                &signer.sign(payload.as_bytes()),
                "aa",
                &signer.keys(),
            )
        };
        assert_eq!(verified(&payload("sha256:aa", KIND)), Ok(()));
        assert_eq!(
            verified(&payload("sha256:bb", KIND)),
            Err("a signature is for another digest")
        );
        assert_eq!(
            verified(&payload("aa", KIND)),
            Err("a signature is for another digest")
        );
        assert_eq!(
            verified(&payload("sha256:aa", "attestation")),
            Err("a signed payload is not an image signature")
        );
        assert_eq!(verified("{}"), Err("a signed payload is malformed"));
    }

    #[test]
    fn what_is_not_signed_is_not_read() {
        let (ours, other) = (Signer::new(), Signer::new());
        let outcome = verify(b"{}", &other.sign(b"{}"), "aa", &ours.keys());
        assert_eq!(outcome, Err("a signature is not of our key"));
    }
}
