//! Which ConfigMaps are lists of which model, so that a change of one leads to the visits that it concerns and to no others.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kube::ResourceExt;
use tokio::sync::watch;

/// Namespace and name of a model.
type Key = (String, String);

/// What this process knows; a restart forgets it, and the first visits learn it anew.
#[derive(Debug, Default)]
pub struct Mounted {
    models: Mutex<HashMap<Key, BTreeSet<String>>>,
    /// Whether any pod ever had a list.
    wanted: watch::Sender<bool>,
    /// Models of which was told that their pods cannot be.
    failing: Mutex<HashSet<Key>>,
}

impl Mounted {
    /// Waits until there is a ConfigMap whose changes matter.
    pub async fn wanted(&self) {
        // An error would mean that the sender is gone, which is `self`.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// The pods of the model have mounted these ConfigMaps, and no others.
    pub fn remember(&self, namespace: &str, model: &str, maps: &BTreeSet<&str>) {
        let key = key(namespace, model);
        if maps.is_empty() {
            lock(&self.models).remove(&key);
            return;
        }
        lock(&self.models).insert(key, maps.iter().map(ToString::to_string).collect());
        self.wanted
            .send_if_modified(|wanted| !std::mem::replace(wanted, true));
    }

    /// The models whose pods have mounted the ConfigMap, as namespace and name.
    pub fn models_with(&self, namespace: &str, map: &str) -> Vec<(String, String)> {
        let models = lock(&self.models);
        let concerned = models
            .iter()
            .filter(|((home, _), maps)| home == namespace && maps.contains(map));
        concerned.map(|(key, _)| key.clone()).collect()
    }

    /// The model is gone.
    pub fn forget(&self, model: &impl ResourceExt) {
        let key = key(&model.namespace().unwrap_or_default(), &model.name_any());
        lock(&self.models).remove(&key);
        lock(&self.failing).remove(&key);
    }

    /// Pods of the model could not be told: whether that is news.
    pub fn is_news(&self, namespace: &str, model: &str) -> bool {
        lock(&self.failing).insert(key(namespace, model))
    }

    /// All pods of the model that needed it were told.
    pub fn recovered(&self, namespace: &str, model: &str) {
        lock(&self.failing).remove(&key(namespace, model));
    }
}

fn key(namespace: &str, model: &str) -> Key {
    (namespace.to_owned(), model.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_config_map_concerns_the_models_of_its_namespace_that_have_mounted_it() {
        let mounted = Mounted::default();
        assert!(mounted.wanted().now_or_never().is_none());
        mounted.remember("payments", "plain", &BTreeSet::new());
        assert!(mounted.wanted().now_or_never().is_none());
        mounted.remember("payments", "card", &["vip", "blocked"].into());
        mounted.remember("elsewhere", "card", &["vip"].into());
        assert!(mounted.wanted().now_or_never().is_some());
        let card = || vec![("payments".to_owned(), "card".to_owned())];
        assert_eq!(mounted.models_with("payments", "vip"), card());
        assert_eq!(mounted.models_with("payments", "blocked"), card());
        assert_eq!(mounted.models_with("payments", "other"), []);
        mounted.remember("payments", "card", &["blocked"].into());
        assert_eq!(mounted.models_with("payments", "vip"), []);
        let mut gone = crate::fixture::model();
        gone.metadata.name = Some("card".into());
        mounted.forget(&gone);
        assert_eq!(mounted.models_with("payments", "blocked"), []);
    }

    #[test]
    fn a_failure_is_news_until_it_has_passed() {
        let mounted = Mounted::default();
        let news = || mounted.is_news("payments", "card");
        assert_eq!([news(), news()], [true, false]);
        mounted.recovered("payments", "card");
        assert!(mounted.is_news("payments", "card"));
    }
}
