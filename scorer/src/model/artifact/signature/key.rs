//! Public keys: ECDSA on P-256, the kind that cosign makes.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

use crate::model::artifact::error::{FetchError, FetchReason, fail};

/// DER of a SubjectPublicKeyInfo for P-256 up to the point: id-ecPublicKey, prime256v1, a bit string of 66 bytes (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: 4, x, y.
const POINT_BYTES: usize = 65;
const MAX_KEYS: usize = 8;
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The keys that count; several, so that one can be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Reads a PEM file.
    pub fn read(path: &Path) -> Result<Self, FetchError> {
        let unusable = |what: &str| {
            let message = format!("the key {} cannot be used: {what}", path.display());
            fail(FetchReason::SignatureInvalid, message)
        };
        let size = std::fs::metadata(path).map(|m| m.len());
        if size.is_ok_and(|size| size > MAX_FILE_BYTES) {
            return unusable("it is too large");
        }
        match std::fs::read(path) {
            Ok(pem) => Self::parse(&pem).or_else(|what| unusable(&what)),
            Err(error) => unusable(&error.to_string()),
        }
    }

    /// Parses one to eight PEM blocks `PUBLIC KEY`.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let wanted = "ECDSA public keys on P-256 in PEM are wanted, as `cosign generate-key-pair` writes to cosign.pub";
        let mut keys = vec![];
        for block in SubjectPublicKeyInfoDer::pem_slice_iter(pem) {
            let der = block.map_err(|_| wanted)?;
            let point = der
                .strip_prefix(&P256)
                .filter(|p| p.len() == POINT_BYTES && p[0] == 4);
            keys.push(point.ok_or(wanted)?.to_vec());
        }
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(format!(
                "it holds {} keys; one to {MAX_KEYS} {wanted}",
                keys.len()
            ));
        }
        Ok(Self(keys))
    }

    /// Whether one of the keys has signed the SHA-256 of `message`; `signature` is base64 of an ASN.1 signature.
    pub fn accept(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature.trim()) else {
            return false;
        };
        let verifies = |key: &Vec<u8>| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
                .verify(message, &signature)
                .is_ok()
        };
        self.0.iter().any(verifies)
    }
}

#[cfg(test)]
pub mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SigningKey};

    use super::*;

    /// A key pair that signs as cosign does.
    pub struct Signer(KeyPair);

    impl Signer {
        pub fn new() -> Self {
            Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
        }

        pub fn pem(&self) -> String {
            self.0.public_key_pem()
        }

        pub fn keys(&self) -> Keys {
            Keys::parse(self.pem().as_bytes()).unwrap()
        }

        pub fn sign(&self, message: &[u8]) -> String {
            STANDARD.encode(self.0.sign(message).unwrap())
        }
    }

    #[test]
    fn only_the_right_key_accepts_only_what_was_signed() {
        let (ours, other) = (Signer::new(), Signer::new());
        let signature = ours.sign(b"message");
        assert!(ours.keys().accept(b"message", &signature));
        assert!(!ours.keys().accept(b"massage", &signature));
        assert!(!other.keys().accept(b"message", &signature));
        for wrong in ["", "!", "AAAA", &signature[..20]] {
            assert!(!ours.keys().accept(b"message", wrong), "{wrong}");
        }
    }

    #[test]
    fn any_of_several_keys_will_do() {
        let (old, new) = (Signer::new(), Signer::new());
        let both = Keys::parse((old.pem() + &new.pem()).as_bytes()).unwrap();
        assert!(both.accept(b"m", &old.sign(b"m")) && both.accept(b"m", &new.sign(b"m")));
    }

    #[test]
    fn other_keys_and_other_files_are_refused() {
        let pem = |kind| KeyPair::generate_for(kind).unwrap();
        let private = Signer::new().0.serialize_pem();
        let nine = Signer::new().pem().repeat(9);
        for wrong in [
            pem(&PKCS_ED25519).public_key_pem(),
            pem(&PKCS_ECDSA_P384_SHA384).public_key_pem(),
            private,
            nine,
            String::new(),
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(),
        ] {
            assert!(Keys::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let error = Keys::read(Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.reason, FetchReason::SignatureInvalid);
    }
}
