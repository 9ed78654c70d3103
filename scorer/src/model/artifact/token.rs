//! The way into a registry: the token that it asks for (distribution specification, "token authentication").

use std::collections::BTreeMap;

use oci_client::secrets::RegistryAuth;
use reqwest::{
    Client, StatusCode, Url,
    header::{HeaderMap, WWW_AUTHENTICATE},
};
use serde::Deserialize;

use super::{
    download,
    error::{FetchError, FetchReason, fail},
};

const MAX_TOKEN_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// What to send with each request for `repository` at `base` (`https://host`): a token if the registry wants one.
pub async fn authorize(
    client: &Client,
    base: &str,
    repository: &str,
    auth: RegistryAuth,
    plain: &[String],
) -> Result<RegistryAuth, FetchError> {
    if matches!(auth, RegistryAuth::Bearer(_)) {
        return Ok(auth);
    }
    let answer = client.get(format!("{base}/v2/")).send().await;
    let answer = answer.map_err(|error| download::broken(&error))?;
    if answer.status() != StatusCode::UNAUTHORIZED {
        return Ok(auth);
    }
    let Some(challenge) = bearer(answer.headers()) else {
        return Ok(auth); // it wants the password itself, or says nothing: the next request will tell
    };
    let realm = challenge.get("realm").and_then(|realm| Url::parse(realm).ok());
    let Some(mut url) = realm else {
        return fail(
            FetchReason::Unauthorized,
            format!("{base} names no place to get a token"),
        );
    };
    download::admit(&url, plain)?;
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = challenge.get("service") {
            query.append_pair("service", service);
        }
        query.append_pair("scope", &format!("repository:{repository}:pull"));
    }
    let request = client.get(url);
    let request = match &auth {
        RegistryAuth::Basic(user, password) => request.basic_auth(user, Some(password)),
        RegistryAuth::Anonymous | RegistryAuth::Bearer(_) => request,
    };
    let answer = download::small(request, MAX_TOKEN_BYTES).await?;
    // Without serde's message: it may quote the answer.
    match serde_json::from_slice::<Token>(&answer) {
        Ok(Token { token, .. }) if !token.is_empty() => Ok(RegistryAuth::Bearer(token)),
        Ok(Token { access_token, .. }) if !access_token.is_empty() => Ok(RegistryAuth::Bearer(access_token)),
        _ => fail(
            FetchReason::Unauthorized,
            format!("{base} gives no token for this repository; check the pull secret and its rights"),
        ),
    }
}

/// The parameters of the Bearer challenge, if there is one.
fn bearer(headers: &HeaderMap) -> Option<BTreeMap<String, String>> {
    let mut challenges = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    challenges.find_map(|challenge| {
        let (scheme, rest) = challenge.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| parameters(rest))
    })
}

/// `key="value",key=value`; what is malformed is left out.
fn parameters(mut text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((key, rest)) = text.split_once('=') {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest
                .split_once(',')
                .map_or((rest, ""), |(value, _)| (value, &rest[value.len()..])),
        };
        let key = key.trim().to_ascii_lowercase();
        found.entry(key).or_insert_with(|| value.trim().to_owned());
        text = after.trim_start().trim_start_matches(',');
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge(value: &str) -> Option<BTreeMap<String, String>> {
        bearer(&HeaderMap::from_iter([(
            WWW_AUTHENTICATE,
            value.parse().unwrap(),
        )]))
    }

    #[test]
    fn a_challenge_is_taken_apart() {
        let found =
            challenge(r#"Bearer realm="https://auth.example/token",service="r.example",scope="a:b,c""#)
                .unwrap();
        assert_eq!(found["realm"], "https://auth.example/token");
        assert_eq!(found["service"], "r.example");
        assert_eq!(found["scope"], "a:b,c");
        assert_eq!(
            challenge("bearer realm=https://a/t, service=x").unwrap()["service"],
            "x"
        );
        assert_eq!(challenge("Basic realm=\"x\""), None);
        assert_eq!(challenge("Bearer"), None);
    }

    proptest! {
        #[test]
        fn no_challenge_panics_or_hangs(text in ".{0,200}") {
            parameters(&text);
        }
    }
}
