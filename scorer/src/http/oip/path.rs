//! Paths below /v2.

use percent_encoding::percent_decode_str;

use super::Invalid;

/// The model that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    name: String,
    version: Option<String>,
}

impl Asked {
    /// Whether that is the model that is served; the error does not repeat what was asked for.
    pub fn check(&self, name: &str, version: &str) -> Result<(), Invalid> {
        check(
            &self.name,
            self.version.as_deref().unwrap_or_default(),
            name,
            version,
        )
    }
}

/// Whether the model asked for is the one that is served. An empty version is the served one.
pub fn check(asked: &str, asked_version: &str, name: &str, version: &str) -> Result<(), Invalid> {
    if asked != name {
        return Err(Invalid(format!("unknown model; this server has {name}")));
    }
    if !asked_version.is_empty() && asked_version != version {
        return Err(Invalid(format!(
            "unknown version; this server has {name} in version {version}"
        )));
    }
    Ok(())
}

/// What a path below /v2 means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/v2`
    Server,
    /// `/v2/health/live`
    Live,
    /// `/v2/health/ready`
    Ready,
    /// `/v2/models/{m}[/versions/{v}]`
    Model(Asked),
    /// The same with `/ready`.
    ModelReady(Asked),
    /// The same with `/infer`.
    Infer(Asked),
}

impl Target {
    /// The target of a path, if it has one.
    pub fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
        let asked = |name: &str, version: Option<&str>| {
            Some(Asked {
                name: decode(name)?,
                version: version.map_or(Some(None), |version| decode(version).map(Some))?,
            })
        };
        match parts.as_slice() {
            [""] => Some(Self::Server),
            ["", "health", "live"] => Some(Self::Live),
            ["", "health", "ready"] => Some(Self::Ready),
            ["", "models", name] => asked(name, None).map(Self::Model),
            ["", "models", name, "ready"] => asked(name, None).map(Self::ModelReady),
            ["", "models", name, "infer"] => asked(name, None).map(Self::Infer),
            ["", "models", name, "versions", version] => asked(name, Some(version)).map(Self::Model),
            ["", "models", name, "versions", version, "ready"] => {
                asked(name, Some(version)).map(Self::ModelReady)
            }
            ["", "models", name, "versions", version, "infer"] => asked(name, Some(version)).map(Self::Infer),
            _ => None,
        }
    }
}

fn decode(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, version: Option<&str>) -> Asked {
        Asked {
            name: name.into(),
            version: version.map(Into::into),
        }
    }

    #[test]
    fn every_path_of_the_protocol_has_its_target() {
        let table = [
            ("/v2", Some(Target::Server)),
            ("/v2/", Some(Target::Server)),
            ("/v2/health/live", Some(Target::Live)),
            ("/v2/health/ready", Some(Target::Ready)),
            ("/v2/models/m", Some(Target::Model(asked("m", None)))),
            ("/v2/models/a%20b", Some(Target::Model(asked("a b", None)))),
            ("/v2/models/m/ready", Some(Target::ModelReady(asked("m", None)))),
            ("/v2/models/m/infer", Some(Target::Infer(asked("m", None)))),
            (
                "/v2/models/m/versions/1.2",
                Some(Target::Model(asked("m", Some("1.2")))),
            ),
            (
                "/v2/models/m/versions/1/ready",
                Some(Target::ModelReady(asked("m", Some("1")))),
            ),
            (
                "/v2/models/m/versions/1/infer",
                Some(Target::Infer(asked("m", Some("1")))),
            ),
            ("/v2x", None),
            ("/v2/models", None),
            ("/v2/models//infer", None),
            ("/v2/models/m/config", None),
            ("/v2/models/%ff", None),
            ("/v1", None),
        ];
        for (path, target) in table {
            assert_eq!(Target::of(path), target, "{path}");
        }
    }

    #[test]
    fn only_the_served_model_and_version_are_known() {
        assert!(check("m", "", "m", "1").is_ok());
        assert!(check("m", "1", "m", "1").is_ok());
        assert!(check("x", "1", "m", "1").unwrap_err().0.contains("has m"));
        assert!(check("m", "2", "m", "1").unwrap_err().0.contains("version 1"));
    }
}
