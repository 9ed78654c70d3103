//! The Secret with the first key of receipts, where the spec names none of the user's.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::meta;
use crate::reconcile::validate::ValidModel;

/// The Secret with one key of this moment: `key` is what the file holds. A key that is added later, under a later day,
/// seals from then on.
pub fn build(model: &ValidModel, key: String, now: Timestamp) -> Secret {
    let id = now.strftime("%Y-%m-%d").to_string();
    Secret {
        metadata: meta::shared(model, meta::receipt_keys_name(&model.name)),
        type_: Some("Opaque".into()),
        data: Some(BTreeMap::from([(id, ByteString(key.into_bytes()))])),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_secret_has_one_key_named_by_its_day_and_goes_with_the_model() {
        let secret = build(
            &fixture::valid(),
            "key".into(),
            "2026-11-24T23:59:59Z".parse().unwrap(),
        );
        assert_eq!(secret.metadata.name.as_deref(), Some("card-fraud-receipt-keys"));
        let data = secret.data.unwrap();
        assert_eq!(data.keys().collect::<Vec<_>>(), ["2026-11-24"]);
        assert_eq!(data["2026-11-24"].0, b"key");
        assert_eq!(secret.metadata.owner_references.unwrap()[0].kind, "FraudModel");
    }
}
