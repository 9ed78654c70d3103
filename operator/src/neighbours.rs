//! Whose pods may reach the scorer's where nothing on the scorer's side asks who they are: Traefik's, the monitoring's, ours.

use std::{collections::BTreeMap, str::FromStr};

/// The label by which charts name what a pod runs.
const NAME: &str = "app.kubernetes.io/name";

/// A choice of pods: `any`, labels (`app=traefik,tier=edge`), or `NAMESPACE:` before them.
///
/// Not guaranteed: that a pod of the host's network is chosen by its labels; NetworkPolicies see the node there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pods {
    /// Whoever can reach the network.
    Any,
    /// Pods with these labels.
    Labelled {
        /// Where they are; anywhere, if none is named.
        namespace: Option<String>,
        /// What they carry; all pods of the namespace, if empty.
        labels: BTreeMap<String, String>,
    },
}

impl Pods {
    /// Pods that are named like this, in that namespace or anywhere.
    pub fn named(name: &str, namespace: Option<&str>) -> Self {
        Self::Labelled {
            namespace: namespace.map(Into::into),
            labels: BTreeMap::from([(NAME.into(), name.into())]),
        }
    }
}

impl FromStr for Pods {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let wrong = || {
            format!(
                "\"{text}\" names no pods: give LABEL=VALUE pairs separated by commas, such as {NAME}=traefik, NAMESPACE: before them or alone, or any"
            )
        };
        let (namespace, labels) = match text.split_once(':') {
            Some((namespace, labels)) => (Some(namespace), labels),
            None => (None, text),
        };
        if namespace.is_some_and(|namespace| !is_dns(namespace, false))
            || (namespace.is_none() && labels.is_empty())
        {
            return Err(wrong());
        }
        let pairs = labels.split(',').filter(|_| !labels.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (is_key(key) && is_value(value)).then(|| (key.to_owned(), value.to_owned()))
        });
        Ok(Self::Labelled {
            namespace: namespace.map(Into::into),
            labels: pairs.collect::<Option<_>>().ok_or_else(wrong)?,
        })
    }
}

/// `name` or `prefix/name`.
fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns(prefix, true) && !name.is_empty() && is_value(name),
        None => !text.is_empty() && is_value(text),
    }
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; may be empty.
fn is_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.chars().all(inner)
        && text.chars().next().is_none_or(end)
        && text.chars().next_back().is_none_or(end)
}

/// A DNS label in lower case; with `dots` several of them.
fn is_dns(text: &str, dots: bool) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (dots && c == '.');
    let most = if dots { 253 } else { 63 };
    (1..=most).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

/// Whose pods the NetworkPolicies of models name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// Proxies of the routes.
    pub traefik: Pods,
    /// Readers of metrics.
    pub monitoring: Pods,
    /// Namespace of the operator.
    pub operator: String,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self {
            traefik: Pods::named("traefik", None),
            monitoring: Pods::named("prometheus", None),
            operator: "fraudops-system".into(),
        }
    }
}

impl Neighbours {
    /// The operator's own pods, by the labels of its chart.
    pub fn operator_pods(&self) -> Pods {
        Pods::named(crate::FIELD_MANAGER, Some(&self.operator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_chosen_by_labels_in_a_namespace_or_anywhere() {
        assert_eq!("any".parse(), Ok(Pods::Any));
        assert_eq!(
            "app.kubernetes.io/name=traefik".parse(),
            Ok(Pods::named("traefik", None))
        );
        assert_eq!(
            "edge:app.kubernetes.io/name=traefik".parse(),
            Ok(Pods::named("traefik", Some("edge")))
        );
        let all = Pods::Labelled {
            namespace: Some("monitoring".into()),
            labels: BTreeMap::new(),
        };
        assert_eq!("monitoring:".parse(), Ok(all));
        let Ok(Pods::Labelled { labels, .. }) = "a=1,b=".parse() else {
            panic!("refused")
        };
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn what_chooses_no_pods_is_refused_with_a_right_example() {
        for text in [
            "", "traefik", "a=1,", "a=1,,b=2", "Edge:a=1", ":a=1", "=1", "a=-", "a/b/c=1", "a b=1",
        ] {
            let message = text.parse::<Pods>().unwrap_err();
            assert!(
                message.contains("app.kubernetes.io/name=traefik"),
                "{text}: {message}"
            );
        }
    }
}
