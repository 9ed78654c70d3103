//! Who may call, and how often.
//!
//! What is configured must hold: with tokens a request needs one that has the scope, with allowed names the connection needs
//! a certificate that carries one of them, and with a rate each client has its own. With nothing configured everybody may
//! call.

mod denied;
mod issue;
mod options;
mod rate_limit;
mod tokens;
mod watch;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, PoisonError, RwLock, atomic::Ordering::Relaxed},
    time::Instant,
};

use http::{HeaderMap, header};

pub use denied::{Counts, Denied};
pub use issue::{Issued, TokenArgs, issue};
pub use options::Options;
pub use rate_limit::{Limiter, Rate};
pub use tokens::{TokenError, Tokens};

use crate::metrics::Collect;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Have transactions scored.
    Predict,
    /// Say what became of them.
    Feedback,
    /// Everything on the admin port.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Predict, Self::Feedback, Self::Admin];

    /// As it is written in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::Feedback => "feedback",
            Self::Admin => "admin",
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its address.
    pub address: IpAddr,
    /// The DNS names and URIs of its certificate, if it has one that was verified.
    pub names: &'a [String],
}

/// Who calls, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// Whoever holds the token of this name.
    Token(Arc<str>),
    /// Whoever has a certificate with this name.
    Certificate(Arc<str>),
    /// Somebody at this address; of IPv6 the first 64 bits, which is what one caller has.
    Address(IpAddr),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(name) => write!(f, "token {name}"),
            Self::Certificate(name) => write!(f, "certificate {name}"),
            Self::Address(address) => write!(f, "address {address}"),
        }
    }
}

/// Answers who may call. Shared by all threads.
pub struct Access {
    folder: Option<std::path::PathBuf>,
    tokens: RwLock<Arc<Tokens>>,
    allowed: Vec<Arc<str>>,
    limiter: Option<Limiter>,
    counts: Arc<Counts>,
}

impl Access {
    /// Reads the tokens. Whatever is wrong with them is said at once: a process that serves has rules that can be kept.
    pub fn new(options: &Options) -> Result<Self, TokenError> {
        let tokens = options.tokens.as_deref().map(Tokens::read).transpose()?;
        let rate = options.rate_limit.map(|per_second| Rate {
            per_second,
            burst: options.rate_burst.unwrap_or_else(|| per_second.ceil() as u32),
        });
        Ok(Self {
            folder: options.tokens.clone(),
            tokens: RwLock::new(Arc::new(tokens.unwrap_or_default())),
            allowed: options
                .allowed_names
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            limiter: rate.map(|rate| Limiter::new(rate, Instant::now())),
            counts: Arc::default(),
        })
    }

    /// Who calls, when that client may do this now. Refusals are counted.
    pub fn check(&self, headers: &HeaderMap, scope: Scope, peer: Peer<'_>) -> Result<Client, Denied> {
        self.check_at(headers, scope, peer, Instant::now())
    }

    fn check_at(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        peer: Peer<'_>,
        now: Instant,
    ) -> Result<Client, Denied> {
        let outcome = match self.identify(headers, scope, peer) {
            Ok(client) => self.admit(&client, now).map(|()| client),
            // Who guesses tokens is limited by address.
            Err(denied) => Err(self.admit(&at(peer.address), now).err().unwrap_or(denied)),
        };
        outcome.inspect_err(|denied| self.counts.count(*denied))
    }

    fn identify(&self, headers: &HeaderMap, scope: Scope, peer: Peer<'_>) -> Result<Client, Denied> {
        let mut client = at(peer.address);
        if !self.allowed.is_empty() {
            let known = |name: &&Arc<str>| peer.names.iter().any(|theirs| **theirs == ***name);
            let name = self.allowed.iter().find(known).ok_or(Denied::Certificate)?;
            client = Client::Certificate(Arc::clone(name));
        }
        if self.folder.is_some() {
            let (name, scopes) = self.token_of(headers)?;
            if !scopes.has(scope) {
                return Err(Denied::Scope(scope));
            }
            client = Client::Token(name);
        }
        Ok(client)
    }

    fn token_of(&self, headers: &HeaderMap) -> Result<(Arc<str>, tokens::Scopes), Denied> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (all.next(), all.next()) else {
            return Err(Denied::NoToken);
        };
        let token = bearer(value.as_bytes()).ok_or(Denied::NoToken)?;
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.find(token).ok_or(Denied::UnknownToken)
    }

    fn admit(&self, client: &Client, now: Instant) -> Result<(), Denied> {
        match &self.limiter {
            Some(limiter) => limiter.admit(client, now).map_err(Denied::TooMany),
            None => Ok(()),
        }
    }

    /// Whether anybody may give feedback who reaches the port.
    pub fn is_open(&self) -> bool {
        self.folder.is_none() && self.allowed.is_empty()
    }

    /// Counters of refusals.
    pub fn counts(&self) -> Arc<dyn Collect> {
        Arc::clone(&self.counts) as Arc<dyn Collect>
    }

    /// Reads the tokens again; true when they have changed. What cannot be read leaves the old ones in force.
    pub fn reload(&self) -> Result<bool, TokenError> {
        let Some(folder) = &self.folder else {
            return Ok(false);
        };
        let tokens = Tokens::read(folder).inspect_err(|_| {
            self.counts.reload_failed.fetch_add(1, Relaxed);
        })?;
        let mut current = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        let changed = **current != tokens;
        if changed {
            *current = Arc::new(tokens);
        }
        Ok(changed)
    }
}

/// The token of `Bearer TOKEN`; the scheme in any case, as RFC 9110 has it.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    let token = rest.strip_prefix(b" ")?.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

fn at(address: IpAddr) -> Client {
    Client::Address(match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    })
}

#[cfg(test)]
mod tests;
