//! How a rule is written in the manifest.

use serde::{Deserialize, Serialize};

use super::RuleError;

/// Most rules of one model: a verdict keeps one bit for each.
pub const MAX_RULES: usize = 64;
/// Longest name of a rule: a DNS label.
const MAX_NAME: usize = 63;
/// Longest condition, in bytes.
pub(super) const MAX_WHEN: usize = 1024;
/// Longest reason, in characters.
const MAX_REASON: usize = 256;

/// One rule, as `spec.rules[]` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleConfig {
    /// Name: a DNS label, unique among the rules. Label of metrics.
    pub name: String,
    /// The condition, in CEL.
    pub when: String,
    /// What a hit means.
    pub action: Action,
    /// Whether a hit decides, or is only counted.
    #[serde(default)]
    pub mode: Mode,
    /// What the answer says of a hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a hit means. In the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The transaction passes, whatever the model says.
    Allow,
    /// It is stopped.
    Block,
    /// Somebody looks at it, unless the model blocks it.
    Review,
}

impl Action {
    /// As it is written in manifests and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::Review => "review",
        }
    }
}

/// Whether a hit decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is counted and reported only.
    Shadow,
}

impl Mode {
    /// As it is written in manifests and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// Checks what can be checked without looking into the conditions.
pub(super) fn check(rules: &[RuleConfig]) -> Result<(), RuleError> {
    if let Some(rule) = rules.get(MAX_RULES) {
        let problem = format!(
            "there are {} rules, at most {MAX_RULES} are possible",
            rules.len()
        );
        return Err(RuleError::new(&rule.name, problem));
    }
    for (index, rule) in rules.iter().enumerate() {
        let fail = |problem: String| Err(RuleError::new(&rule.name, problem));
        if !is_label(&rule.name) {
            return fail(format!(
                "a name has 1 to {MAX_NAME} characters, a-z, 0-9 and '-', and begins and ends with a letter or digit"
            ));
        }
        if rules[..index].iter().any(|other| other.name == rule.name) {
            return fail("another rule has this name: names are labels of metrics and must differ".into());
        }
        let bytes = rule.when.len();
        if bytes > MAX_WHEN {
            return fail(format!(
                "its condition has {bytes} bytes, more than {MAX_WHEN}: split it into several rules"
            ));
        }
        let reason = rule.reason.as_deref().unwrap_or_default();
        let length = reason.chars().count();
        if length > MAX_REASON || reason.chars().any(char::is_control) {
            return fail(format!(
                "its reason has {length} characters: at most {MAX_REASON} are possible, and no control characters"
            ));
        }
    }
    Ok(())
}

/// RFC 1123 label.
fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_NAME).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str) -> RuleConfig {
        RuleConfig {
            name: name.into(),
            when: "true".into(),
            action: Action::Block,
            mode: Mode::Enforce,
            reason: None,
        }
    }

    #[test]
    fn a_rule_is_read_as_the_manifest_has_it() {
        let text = r#"{"name":"a","when":"true","action":"review","mode":"shadow","reason":"x"}"#;
        let rule: RuleConfig = serde_json::from_str(text).unwrap();
        assert_eq!((rule.action, rule.mode), (Action::Review, Mode::Shadow));
        let short: RuleConfig =
            serde_json::from_str(r#"{"name":"a","when":"true","action":"allow"}"#).unwrap();
        assert_eq!((short.mode, short.reason), (Mode::Enforce, None));
        for wrong in [
            r#"{"name":"a","when":"true"}"#,
            r#"{"name":"a","when":"true","action":"deny"}"#,
            r#"{"name":"a","when":"true","action":"allow","mode":"off"}"#,
            r#"{"name":"a","when":"true","action":"allow","Mode":"shadow"}"#,
        ] {
            assert!(serde_json::from_str::<RuleConfig>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name_and_number() {
        let many: Vec<_> = (0..65).map(|i| rule(&format!("r{i}"))).collect();
        assert!(check(&many[..64]).is_ok());
        let error = check(&many).unwrap_err();
        assert_eq!((error.rule.as_str(), error.problem.contains("65")), ("r64", true));
        for name in ["", "A", "a_b", "-a", "a-", "a.b", &"a".repeat(64), "ä"] {
            assert!(check(&[rule(name)]).is_err(), "{name:?}");
        }
        assert!(check(&[rule(&"a".repeat(63)), rule("0-9")]).is_ok());
        let twice = check(&[rule("a"), rule("a")]).unwrap_err();
        assert!(twice.problem.contains("another rule"), "{twice}");
        let long = RuleConfig {
            when: "1".repeat(1025),
            ..rule("a")
        };
        assert!(check(&[long]).unwrap_err().problem.contains("1025 bytes"));
        for (reason, good) in [
            ("ä".repeat(256), true),
            ("a".repeat(257), false),
            ("a\nb".into(), false),
        ] {
            let rule = RuleConfig {
                reason: Some(reason),
                ..rule("a")
            };
            assert_eq!(check(&[rule]).is_ok(), good);
        }
    }
}
