//! Registry credentials from a docker config.json, as Kubernetes mounts it from a Secret.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use super::error::{FetchError, FetchReason, fail};

const FILES: [&str; 2] = ["config.json", ".dockerconfigjson"];
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    registrytoken: String,
}

/// The credentials for a registry from the first directory that has some; anonymous when none has.
pub fn find(directories: &[PathBuf], registry: &str) -> Result<RegistryAuth, FetchError> {
    for path in directories.iter().flat_map(|d| FILES.map(|file| d.join(file))) {
        let broken = |what: &str| fail(FetchReason::Unauthorized, format!("{}: {what}", path.display()));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return broken(&error.to_string()),
        };
        // Without serde's message: it may quote the content.
        let Ok(config) = serde_json::from_slice::<Config>(&text) else {
            return broken("this is no docker config.json");
        };
        let found = config
            .auths
            .iter()
            .find(|(key, _)| is_same_registry(key, registry));
        match found.map(|(_, entry)| credentials(entry)) {
            Some(Some(auth)) => return Ok(auth),
            Some(None) => return broken(&format!("the entry for {registry} holds no usable credentials")),
            None => {}
        }
    }
    Ok(RegistryAuth::Anonymous)
}

fn is_same_registry(key: &str, registry: &str) -> bool {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.eq_ignore_ascii_case(registry) || (DOCKER_HUB.contains(&host) && DOCKER_HUB.contains(&registry))
}

fn credentials(entry: &Entry) -> Option<RegistryAuth> {
    if !entry.registrytoken.is_empty() {
        return Some(RegistryAuth::Bearer(entry.registrytoken.clone()));
    }
    if !entry.username.is_empty() {
        return Some(RegistryAuth::Basic(
            entry.username.clone(),
            entry.password.clone(),
        ));
    }
    let decoded = String::from_utf8(STANDARD.decode(entry.auth.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':').filter(|(user, _)| !user.is_empty())?;
    Some(RegistryAuth::Basic(
        user.to_owned(),
        password.trim_end_matches('\0').to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(content: &str, registry: &str) -> Result<RegistryAuth, FetchError> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), content).unwrap();
        find(&["/nowhere".into(), directory.path().into()], registry)
    }

    fn basic(user: &str, password: &str) -> RegistryAuth {
        RegistryAuth::Basic(user.into(), password.into())
    }

    #[test]
    fn both_spellings_of_an_entry_are_read() {
        let config = r#"{"auths":{"https://r.example:5000/v2/":{"auth":"dTpwOndvcmQ="},"b.example":{"username":"u","password":"p"}}}"#;
        assert_eq!(find_in(config, "r.example:5000"), Ok(basic("u", "p:word")));
        assert_eq!(find_in(config, "b.example"), Ok(basic("u", "p")));
        assert_eq!(find_in(config, "c.example"), Ok(RegistryAuth::Anonymous));
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#;
        assert_eq!(find_in(hub, "index.docker.io"), Ok(basic("u", "p")));
    }

    #[test]
    fn no_file_means_anonymous() {
        assert_eq!(
            find(&["/nowhere".into()], "r.example"),
            Ok(RegistryAuth::Anonymous)
        );
    }

    #[test]
    fn a_broken_file_is_named_and_not_quoted() {
        for config in ["{secret", r#"{"auths":{"r.example":{"auth":"c2VjcmV0"}}}"#] {
            let error = find_in(config, "r.example").unwrap_err();
            assert_eq!(error.reason, FetchReason::Unauthorized);
            assert!(!error.message.contains("secret"), "{error}");
        }
    }
}
