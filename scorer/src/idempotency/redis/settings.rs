//! Where Redis is and how it is used. The address has a password in it: it is never shown.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use ::redis::{Client, ConnectionAddr, IntoConnectionInfo as _, TlsCertificates};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use thiserror::Error;
use zeroize::Zeroizing;

use super::super::DigestKey;
use crate::receipt::Scope;

/// File with the address.
const URL: &str = "url";
/// File with the certificates that the server's is checked against; the system's own where it is absent.
const CA: &str = "ca.crt";

/// Why Redis cannot be used as it was set up. The message names the file, never its content.
#[derive(Debug, Error)]
pub enum RedisError {
    /// A file cannot be read.
    #[error("idempotency.redis: cannot read {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address is none.
    #[error("idempotency.redis: {} must hold redis://, rediss:// or redis+unix:// with host or path: {problem}", .file.display())]
    Url {
        /// The file.
        file: PathBuf,
        /// What is wrong, without the address.
        problem: String,
    },
    /// The certificates are none.
    #[error("idempotency.redis: {} must hold certificates in PEM: {problem}", .file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// How Redis is used.
pub struct RedisSettings {
    client: Client,
    key: DigestKey,
    timeout: Duration,
    ttl: Duration,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("timeout", &self.timeout)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl RedisSettings {
    /// Time that a command may take unless somebody says otherwise.
    pub const TIMEOUT: Duration = Duration::from_millis(20);

    /// Reads the mounted Secret: the file `url`, and `ca.crt` where there is one. Answers are kept for `ttl`.
    ///
    /// # Errors
    /// [`RedisError`] with the file that is wrong, never its content.
    pub fn from_dir(dir: &Path, scope: &Scope, timeout: Duration, ttl: Duration) -> Result<Self, RedisError> {
        let file = dir.join(URL);
        let url = Zeroizing::new(
            fs::read_to_string(&file).map_err(|source| RedisError::Unreadable {
                file: file.clone(),
                source,
            })?,
        );
        let url = url.trim();
        let wrong = |problem: String| RedisError::Url {
            file: file.clone(),
            problem,
        };
        let address = url.into_connection_info().map_err(|error| wrong(told(&error)))?;
        let client = match address.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(wrong(
                    "#insecure is not accepted: put the CA into ca.crt".to_owned(),
                ));
            }
            ConnectionAddr::TcpTls { .. } => {
                let ca = certificates(dir)?;
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: ca,
                };
                Client::build_with_tls(address, certificates).map_err(|error| RedisError::Certificates {
                    file: dir.join(CA),
                    problem: told(&error),
                })?
            }
            _ => Client::open(address).map_err(|error| wrong(told(&error)))?,
        };
        Ok(Self {
            client,
            key: DigestKey::shared(scope, url.as_bytes()),
            timeout,
            ttl,
        })
    }

    /// The key that all pods share. Digests of requests must be made with it.
    pub fn key(&self) -> &DigestKey {
        &self.key
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// At least one: Redis refuses zero.
    pub(super) fn ttl_millis(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

fn certificates(dir: &Path) -> Result<Option<Vec<u8>>, RedisError> {
    let file = dir.join(CA);
    let pem = match fs::read(&file) {
        Ok(pem) => pem,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RedisError::Unreadable { file, source }),
    };
    // Without one nothing would be trusted, and nothing would say why.
    let usable = CertificateDer::pem_slice_iter(&pem).all(|one| one.is_ok());
    if usable && CertificateDer::pem_slice_iter(&pem).next().is_some() {
        return Ok(Some(pem));
    }
    Err(RedisError::Certificates {
        file,
        problem: "it has no certificate, or one that cannot be read".to_owned(),
    })
}

/// What an error is about, without any detail: a detail may repeat what was sent.
pub fn told(error: &::redis::RedisError) -> String {
    match error.code() {
        Some(code) => format!("Redis answered {code}"),
        None => error.category().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, ca: Option<&str>) -> Result<RedisSettings, RedisError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(URL), url).unwrap();
        if let Some(ca) = ca {
            fs::write(dir.path().join(CA), ca).unwrap();
        }
        let scope = Scope {
            namespace: "a".to_owned(),
            model: "b".to_owned(),
        };
        RedisSettings::from_dir(
            dir.path(),
            &scope,
            RedisSettings::TIMEOUT,
            Duration::from_secs(60),
        )
    }

    #[test]
    fn addresses_with_and_without_tls_and_of_sockets_are_read() {
        for url in [
            "redis://127.0.0.1:6379",
            "redis://user:s3cret@redis.cache.svc:6379/1\n",
            "rediss://:s3cret@redis.cache.svc:6380",
            "redis+unix:///run/redis.sock?pass=s3cret",
        ] {
            let settings = read(url, None).unwrap_or_else(|error| panic!("{url}: {error}"));
            let shown = format!("{settings:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("redis."), "{shown}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for url in [
            "",
            "s3cret",
            "http://s3cret@host",
            "redis://:s3cret@host:port",
            "rediss://:s3cret@host/#insecure",
        ] {
            let error = read(url, None).unwrap_err().to_string();
            assert!(error.contains("/url") && !error.contains("s3cret"), "{error}");
        }
        let error = read("rediss://:s3cret@host", Some("no certificate"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/ca.crt") && !error.contains("s3cret"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let scope = Scope {
            namespace: String::new(),
            model: String::new(),
        };
        let missing = RedisSettings::from_dir(dir.path(), &scope, Duration::ZERO, Duration::ZERO);
        assert!(matches!(missing, Err(RedisError::Unreadable { .. })));
    }
}
