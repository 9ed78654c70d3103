//! What a model says about itself, under keys of our own prefix in the ONNX file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Golden, ModelError, Profile, Reason};
use crate::{
    decision::Thresholds,
    features::{Input, Missing, Schema, SchemaError},
};

const PREFIX: &str = "fraudops.dev/";
const MAX_TEXT: usize = 200;

/// Name, version and origin of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// What people call it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How it was made, such as "XGBoost 100x3".
    #[serde(default)]
    pub algorithm: String,
    /// Everything else that the trainer wrote.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// Where the probability is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Name of the output.
    pub tensor: String,
    /// Column of the fraud class.
    #[serde(default)]
    pub column: usize,
}

/// One input of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Name, as in the request.
    pub name: String,
    /// What becomes of a request without a value for it.
    #[serde(default)]
    pub missing: Missing,
    /// Everything else, of which [`super::Profile`] reads a part: range, median, deciles, share of zeros, group.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Bands {
    review: f64,
    block: f64,
}

/// The metadata that the scorer uses; the rest is kept as it is.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Name and version.
    pub card: Card,
    /// Inputs in the order of the columns.
    pub features: Vec<Feature>,
    /// Where the probability is.
    pub output: Output,
    /// Thresholds that the trainer proposes.
    pub thresholds: Option<Thresholds>,
    /// What the trainer measured.
    pub metrics: Option<Value>,
    /// Vectors to replay.
    pub golden: Golden,
}

impl Metadata {
    /// Reads the metadata of a file.
    pub fn parse(entries: &BTreeMap<String, String>) -> Result<Self, ModelError> {
        let schema = required(entries, "schema")?;
        if schema != "v1" {
            let message = format!("the metadata has schema `{}`, this scorer reads v1", clip(schema));
            return Err(ModelError::new(Reason::MetadataInvalid, message));
        }
        let card: Card = json(entries, "model")?;
        for (field, text) in [("name", &card.name), ("version", &card.version)] {
            if text.is_empty() || text.len() > MAX_TEXT {
                return Err(invalid(
                    "model",
                    format!("{field} must have 1 to {MAX_TEXT} bytes"),
                ));
            }
        }
        let features: Vec<Feature> = json(entries, "features")?;
        let output = match optional::<Output>(entries, "output")? {
            Some(output) => output,
            None => Output {
                tensor: "probabilities".to_owned(),
                column: 1,
            },
        };
        let thresholds = optional::<Bands>(entries, "thresholds")?;
        let thresholds = thresholds.map(|b| Thresholds::new(b.review, b.block)).transpose();
        let thresholds = thresholds.map_err(|error| invalid("thresholds", error))?;
        let golden = Golden::parse(&json(entries, "golden")?).map_err(|error| invalid("golden", error))?;
        Ok(Self {
            card,
            features,
            output,
            thresholds,
            metrics: optional(entries, "metrics")?,
            golden,
        })
    }

    /// What requests to the model look like.
    ///
    /// # Errors
    /// Features that make no schema, or card-payment features in another order.
    pub fn schema(&self) -> Result<Schema, ModelError> {
        let inputs: Vec<Input<'_>> = self.features.iter().map(Feature::input).collect();
        Schema::of(&inputs).map_err(|error| match error {
            SchemaError::NoMedian(_) => invalid("features", error),
            _ => ModelError::new(Reason::FeatureMismatch, error.to_string()),
        })
    }
}

impl Feature {
    fn input(&self) -> Input<'_> {
        Input {
            name: &self.name,
            missing: self.missing,
            median: Profile::of(self).median,
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn invalid(key: &str, error: impl std::fmt::Display) -> ModelError {
    ModelError::new(
        Reason::MetadataInvalid,
        format!("metadata {PREFIX}{key}: {error}"),
    )
}

fn required<'a>(entries: &'a BTreeMap<String, String>, key: &str) -> Result<&'a str, ModelError> {
    let value = entries.get(&format!("{PREFIX}{key}")).filter(|v| !v.is_empty());
    value.map(String::as_str).ok_or_else(|| {
        let message = format!(
            "the model has no metadata {PREFIX}{key}; export it with the metadata of the training package"
        );
        ModelError::new(Reason::MetadataMissing, message)
    })
}

fn json<T: DeserializeOwned>(entries: &BTreeMap<String, String>, key: &str) -> Result<T, ModelError> {
    serde_json::from_str(required(entries, key)?).map_err(|error| invalid(key, error))
}

fn optional<T: DeserializeOwned>(
    entries: &BTreeMap<String, String>,
    key: &str,
) -> Result<Option<T>, ModelError> {
    let value = entries.get(&format!("{PREFIX}{key}"));
    value
        .map(|v| serde_json::from_str(v).map_err(|error| invalid(key, error)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> BTreeMap<String, String> {
        let golden = r#"{"rows":1,"features":1,"data":"AAAAAAAAAD8="}"#;
        [
            ("schema", "v1"),
            (
                "model",
                r#"{"name":"tiny","version":"1","algorithm":"trees","git":"abc"}"#,
            ),
            ("features", r#"[{"name":"A","median":3}]"#),
            ("thresholds", r#"{"review":0.1,"block":0.5}"#),
            ("golden", golden),
        ]
        .map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
        .into()
    }

    fn with(key: &str, value: &str) -> ModelError {
        let mut entries = entries();
        entries.insert(format!("{PREFIX}{key}"), value.to_owned());
        Metadata::parse(&entries).expect_err("the metadata is wrong")
    }

    #[test]
    fn good_metadata_is_read_and_the_output_has_a_default() {
        let metadata = Metadata::parse(&entries()).unwrap();
        assert_eq!(
            (metadata.card.name.as_str(), metadata.card.rest["git"].as_str()),
            ("tiny", Some("abc"))
        );
        assert_eq!(
            metadata.output,
            Output {
                tensor: "probabilities".into(),
                column: 1
            }
        );
        assert_eq!(metadata.thresholds, Thresholds::new(0.1, 0.5).ok());
    }

    #[test]
    fn a_missing_key_is_named() {
        for key in ["schema", "model", "features", "golden"] {
            let mut entries = entries();
            entries.remove(&format!("{PREFIX}{key}"));
            let error = Metadata::parse(&entries).unwrap_err();
            assert_eq!(error.reason, Reason::MetadataMissing);
            assert!(error.message.contains(&format!("{PREFIX}{key}")), "{error}");
        }
    }

    #[test]
    fn unusable_content_is_named() {
        for (key, value) in [
            ("schema", "v2"),
            ("model", "{}"),
            ("model", r#"{"name":"","version":"1"}"#),
            ("features", "{}"),
            ("output", r#"{"column":1}"#),
            ("thresholds", r#"{"review":0.5,"block":0.1}"#),
            ("thresholds", r#"{"review":2,"block":3}"#),
            ("golden", r#"{"sha256":"00"}"#),
            ("golden", r#"{"rows":9,"features":1,"data":""}"#),
        ] {
            assert_eq!(with(key, value).reason, Reason::MetadataInvalid, "{key} {value}");
        }
    }

    #[test]
    fn the_policy_of_a_feature_reaches_the_schema() {
        let mut all = entries();
        let features = r#"[{"name":"A","median":3,"missing":"median","min":0,"max":9}]"#;
        all.insert(format!("{PREFIX}features"), features.to_owned());
        let schema = Metadata::parse(&all).unwrap().schema().unwrap();
        let field = schema.fields().last().unwrap();
        assert_eq!(field.default, Some(3.0));
    }

    #[test]
    fn features_that_make_no_schema_are_a_mismatch() {
        for (features, reason) in [
            (r#"[{"name":"A"},{"name":"A"}]"#, Reason::FeatureMismatch),
            (r#"[{"name":"CUSTOMER_ID"}]"#, Reason::FeatureMismatch),
            ("[]", Reason::FeatureMismatch),
            (r#"[{"name":"A","missing":"median"}]"#, Reason::MetadataInvalid),
        ] {
            let mut all = entries();
            all.insert(format!("{PREFIX}features"), features.to_owned());
            let error = Metadata::parse(&all).unwrap().schema().unwrap_err();
            assert_eq!(error.reason, reason, "{features}");
        }
        assert_eq!(
            with("features", r#"[{"name":"A","missing":"guess"}]"#).reason,
            Reason::MetadataInvalid
        );
    }
}
