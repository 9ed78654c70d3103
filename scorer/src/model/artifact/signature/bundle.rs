//! cosign's second form: a Sigstore bundle with a DSSE envelope around an in-toto statement about the digest.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::Keys;

/// What `cosign sign` states; other statements of the same key (an SBOM, a scan) are no signature.
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
const IN_TOTO: &str = "application/vnd.in-toto+json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

/// Checks that one of `keys` signed the statement in `bundle`, and that it is about the manifest with the digest `sha256`.
pub fn verify(bundle: &[u8], sha256: &str, keys: &Keys) -> Result<(), &'static str> {
    let Ok(Bundle {
        dsse_envelope: envelope,
    }) = serde_json::from_slice(bundle)
    else {
        return Err("a bundle is malformed, or holds no DSSE envelope");
    };
    let Ok(payload) = STANDARD.decode(&envelope.payload) else {
        return Err("a bundle is malformed, or holds no DSSE envelope");
    };
    let signed = authenticated(&envelope.payload_type, &payload);
    let mut signatures = envelope.signatures.iter().take(8);
    if !signatures.any(|signature| keys.accept(&signed, &signature.sig)) {
        return Err("a signature is not of our key");
    }
    let Ok(statement) = serde_json::from_slice::<Statement>(&payload) else {
        return Err("a signed statement is malformed");
    };
    if envelope.payload_type != IN_TOTO || statement.predicate_type != PREDICATE {
        return Err("a signed statement is not an image signature");
    }
    let is_ours = |subject: &Subject| subject.digest.get("sha256").is_some_and(|d| d == sha256);
    if !statement.subject.iter().any(is_ours) {
        return Err("a signature is for another digest");
    }
    Ok(())
}

/// What DSSE signs: type and payload, each with its length ("pre-authentication encoding").
fn authenticated(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut text = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    text.extend_from_slice(payload);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::artifact::signature::key::tests::Signer;

    fn statement(digest: &str, predicate: &str) -> String {
        let subject = json!([{"digest": {"sha256": digest}}]);
        json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate, "predicate": {}})
            .to_string()
    }

    fn bundle(signer: &Signer, kind: &str, payload: &str) -> String {
        let sig = signer.sign(&authenticated(kind, payload.as_bytes()));
        let envelope =
            json!({"payload": STANDARD.encode(payload), "payloadType": kind, "signatures": [{"sig": sig}]});
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope})
            .to_string()
    }

    #[test]
    fn a_statement_counts_only_for_its_own_digest_and_predicate() {
        let signer = Signer::new();
        let verified = |kind: &str, payload: &str| {
            verify(bundle(&signer, kind, payload).as_bytes(), "aa", &signer.keys())
        };
        assert_eq!(verified(IN_TOTO, &statement("aa", PREDICATE)), Ok(()));
        for (kind, payload, problem) in [
            (
                IN_TOTO,
                statement("bb", PREDICATE),
                "a signature is for another digest",
            ),
            (
                IN_TOTO,
                statement("aa", "https://spdx.dev/Document"),
                "a signed statement is not an image signature",
            ),
            (
                "text/plain",
                statement("aa", PREDICATE),
                "a signed statement is not an image signature",
            ),
            (IN_TOTO, "{}".to_owned(), "a signed statement is malformed"),
        ] {
            assert_eq!(verified(kind, &payload), Err(problem));
        }
    }

    #[test]
    fn other_keys_and_malformed_bundles_are_refused() {
        let (ours, other) = (Signer::new(), Signer::new());
        let foreign = bundle(&other, IN_TOTO, &statement("aa", PREDICATE));
        assert_eq!(
            verify(foreign.as_bytes(), "aa", &ours.keys()),
            Err("a signature is not of our key")
        );
        for wrong in [
            "",
            "{}",
            r#"{"dsseEnvelope":{"payload":"!","payloadType":"","signatures":[]}}"#,
        ] {
            assert!(verify(wrong.as_bytes(), "aa", &ours.keys()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        // The example of DSSE's protocol.md.
        assert_eq!(
            authenticated("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
