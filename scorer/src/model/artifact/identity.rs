//! As whom a store is asked. Pure: it looks at the settings and says what is missing, before any request is made.

use super::{settings::Settings, source::Cloud};

/// Says what is missing, and the way out, when the settings hold no credentials and the metadata service is not to be asked.
pub fn missing(cloud: Cloud, settings: &Settings, instance_metadata: bool) -> Option<String> {
    if cloud == Cloud::Az && !settings.has(&["AZURE_STORAGE_ACCOUNT_NAME"]) {
        return Some(absent(settings, "AZURE_STORAGE_ACCOUNT_NAME"));
    }
    let anonymous = settings.get(&[match cloud {
        Cloud::S3 => "AWS_SKIP_SIGNATURE",
        Cloud::Gs => "GOOGLE_SKIP_SIGNATURE",
        Cloud::Az => "AZURE_SKIP_SIGNATURE",
    }]);
    if anonymous == Some("true") || instance_metadata {
        return None;
    }
    let complete = sets(cloud)
        .iter()
        .any(|set| set.iter().all(|name| settings.has(&[name])));
    (!complete).then(|| absent(settings, usual(cloud)))
}

/// The sets of settings that identify us, each complete in itself.
fn sets(cloud: Cloud) -> &'static [&'static [&'static str]] {
    match cloud {
        Cloud::S3 => &[
            &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"],
        ],
        Cloud::Gs => &[
            &["GOOGLE_SERVICE_ACCOUNT_KEY"],
            &["GOOGLE_SERVICE_ACCOUNT"],
            &["GOOGLE_APPLICATION_CREDENTIALS"],
        ],
        Cloud::Az => &[
            &["AZURE_STORAGE_ACCOUNT_KEY"],
            &["AZURE_STORAGE_SAS_KEY"],
            &["AZURE_STORAGE_SAS_TOKEN"],
            &["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"],
            &["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"],
        ],
    }
}

fn usual(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        Cloud::Gs => "a service account's key (a file that ends in .json, or GOOGLE_SERVICE_ACCOUNT_KEY)",
        Cloud::Az => "AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY",
    }
}

fn absent(settings: &Settings, what: &str) -> String {
    format!(
        "no credentials: {what} must be in {} or in the environment; workload identity over the cloud's metadata service \
         is used only with --instance-metadata (model.instanceMetadata)",
        settings.directory().display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(names: &[&str]) -> Settings {
        let mut settings = Settings::default();
        for name in names {
            settings.add(name, "true".to_owned());
        }
        settings
    }

    #[test]
    fn half_an_identity_is_none() {
        use Cloud::{Az, Gs, S3};
        let account = "AZURE_STORAGE_ACCOUNT_NAME";
        for (cloud, names, complete) in [
            (S3, &[][..], false),
            (S3, &["AWS_ACCESS_KEY_ID"], false),
            (S3, &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], true),
            (S3, &["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"], true),
            (S3, &["AWS_CONTAINER_CREDENTIALS_FULL_URI"], false),
            (S3, &["AWS_SKIP_SIGNATURE"], true),
            (Gs, &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], false),
            (Gs, &["GOOGLE_SERVICE_ACCOUNT_KEY"], true),
            (Az, &["AZURE_STORAGE_ACCOUNT_KEY"], false),
            (Az, &[account], false),
            (Az, &[account, "AZURE_STORAGE_SAS_KEY"], true),
            (Az, &[account, "AZURE_SKIP_SIGNATURE"], true),
        ] {
            let answer = missing(cloud, &settings(names), false);
            assert_eq!(answer.is_none(), complete, "{cloud:?} {names:?}: {answer:?}");
        }
    }

    #[test]
    fn the_metadata_service_counts_only_when_it_is_asked_for() {
        assert!(missing(Cloud::S3, &settings(&[]), true).is_none());
        let text = missing(Cloud::S3, &settings(&[]), false).unwrap();
        assert!(
            text.contains("AWS_ACCESS_KEY_ID") && text.contains("--instance-metadata"),
            "{text}"
        );
        assert!(
            missing(Cloud::Az, &settings(&[]), true)
                .unwrap()
                .contains("ACCOUNT_NAME")
        );
    }
}
