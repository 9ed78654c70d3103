//! What the manifest says about answers, as the operator hands it over: one JSON in the environment.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rules::{ListConfig, RuleConfig};

/// The policy of one deployment. It belongs to the manifest, not to the model: every version is served under it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// `spec.rules`.
    pub rules: Vec<RuleConfig>,
    /// The lists of `spec.lists` whose entries are in the manifest; the others are files.
    pub lists: BTreeMap<String, ListConfig>,
}

impl Policy {
    /// Reads the JSON.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| format!("the policy cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_and_what_is_unknown_is_refused() {
        let text = r#"{"rules":[{"name":"a","when":"true","action":"block"}],"lists":{"b":{"values":[1,9007199254740993]}}}"#;
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy.rules[0].name, "a");
        assert_eq!(policy.lists["b"].values, [1, 9_007_199_254_740_993]);
        assert_eq!(Policy::parse("{}").unwrap(), Policy::default());
        for wrong in [
            "",
            "[1]",
            r#"{"rule":[]}"#,
            r#"{"lists":{"a":{}}}"#,
            r#"{"lists":{"a":{"values":["x"]}}}"#,
            r#"{"rules":[{"name":"a","when":"true","action":"block","extra":1}]}"#,
        ] {
            assert!(
                Policy::parse(wrong)
                    .unwrap_err()
                    .starts_with("the policy cannot be read"),
                "{wrong}"
            );
        }
    }
}
