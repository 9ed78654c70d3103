//! Who may call, and how often.
//!
//! What is configured must hold: with tokens a request needs one that has the scope, and with a rate each client has its own.
//! With nothing configured everybody may call. Client certificates are asked for in the TLS handshake, before any of this.

mod denied;
mod issue;
mod options;
mod rate_limit;
mod tokens;
mod watch;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, header};

pub use denied::{Counts, Denied};
pub use issue::{EXAMPLE, Issued, TokenArgs, issue};
pub use options::Options;
pub use rate_limit::{Limiter, Rate};
pub use tokens::{TokenError, Tokens};

use crate::metrics::Collect;

/// How often the tokens are looked at.
pub const TOKENS_POLL: Duration = Duration::from_secs(2);

/// Where a proxy in front says who called it.
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Have transactions scored.
    Predict,
    /// Say what became of them.
    Feedback,
    /// Look at the model on the admin port.
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

/// Who calls, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// Whoever holds the token of this name.
    Token(Arc<str>),
    /// Somebody at this address; of IPv6 the first 64 bits, which is what one caller has.
    Address(IpAddr),
}

impl Client {
    fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(name) => write!(f, "token {name}"),
            Self::Address(address) => write!(f, "address {address}"),
        }
    }
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// A token.
    pub tokens: bool,
    /// Not more than their rate.
    pub rate: bool,
}

/// Answers who may call. Shared by all threads.
pub struct Access {
    folder: Option<PathBuf>,
    tokens: RwLock<Arc<Tokens>>,
    limiter: Option<Limiter>,
    trust_forwarded: bool,
    counts: Arc<Counts>,
}

impl Access {
    /// Reads the tokens. Whatever is wrong with them is said at once: a process that serves has rules that can be kept.
    pub fn new(options: &Options) -> Result<Self, TokenError> {
        let Options {
            tokens,
            rate_limit,
            rate_burst,
            trust_forwarded,
        } = options;
        let read = tokens.as_deref().map(Tokens::read).transpose()?;
        let rate = rate_limit.map(|per_second| Rate {
            per_second,
            burst: rate_burst.unwrap_or_else(|| per_second.ceil() as u32),
        });
        Ok(Self {
            folder: tokens.clone(),
            tokens: RwLock::new(Arc::new(read.unwrap_or_default())),
            limiter: rate.map(|rate| Limiter::new(rate, Instant::now())),
            trust_forwarded: *trust_forwarded,
            counts: Arc::default(),
        })
    }

    /// Who calls, when that client may do this now. `peer` is the other end of the connection. Refusals are counted.
    pub fn check(&self, headers: &HeaderMap, scope: Scope, peer: IpAddr) -> Result<Client, Denied> {
        self.check_at(headers, scope, peer, Instant::now())
    }

    fn check_at(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        peer: IpAddr,
        now: Instant,
    ) -> Result<Client, Denied> {
        let client = self.identify(headers, peer);
        let outcome = match client {
            Ok((client, scopes)) => self.admit(&client, now).and_then(|()| match scopes {
                Some(scopes) if !scopes.has(scope) => Err(Denied::Scope(scope)),
                _ => Ok(client),
            }),
            // Who guesses tokens is limited by address.
            Err(denied) => {
                let guessing = Client::at(self.address(headers, peer));
                Err(self.admit(&guessing, now).err().unwrap_or(denied))
            }
        };
        outcome.inspect_err(|denied| self.counts.count(*denied))
    }

    /// Who calls; with tokens also what for.
    fn identify(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<(Client, Option<tokens::Scopes>), Denied> {
        if self.folder.is_none() {
            return Ok((Client::at(self.address(headers, peer)), None));
        }
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (all.next(), all.next()) else {
            return Err(Denied::NoToken);
        };
        let token = bearer(value.as_bytes()).ok_or(Denied::NoToken)?;
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let (name, scopes) = tokens.find(token).ok_or(Denied::UnknownToken)?;
        Ok((Client::Token(name), Some(scopes)))
    }

    /// The client's address. A proxy's word counts where it is trusted, is there once, and is an address.
    fn address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if !self.trust_forwarded {
            return peer;
        }
        let mut all = headers.get_all(REAL_IP).iter();
        let (Some(value), None) = (all.next(), all.next()) else {
            return peer;
        };
        let told = value.to_str().ok().and_then(|text| text.parse().ok());
        told.unwrap_or(peer)
    }

    fn admit(&self, client: &Client, now: Instant) -> Result<(), Denied> {
        match &self.limiter {
            Some(limiter) => limiter.admit(client, now).map_err(Denied::TooMany),
            None => Ok(()),
        }
    }

    /// What is asked of clients.
    pub fn demands(&self) -> Demands {
        Demands {
            tokens: self.folder.is_some(),
            rate: self.limiter.is_some(),
        }
    }

    /// Whether anything is asked of clients: requests need no look otherwise.
    pub fn is_needed(&self) -> bool {
        self.demands() != Demands::default()
    }

    /// Whether a caller needs no token.
    pub fn is_open(&self) -> bool {
        !self.demands().tokens
    }

    /// Whether tokens are asked for and nobody has one.
    pub fn is_closed(&self) -> bool {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        self.folder.is_some() && tokens.is_empty()
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

#[cfg(test)]
mod tests;
