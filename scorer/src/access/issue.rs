//! `fraudops-scorer token`: makes a token, and the line that belongs into the Secret.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use rand::{TryRngCore as _, rngs::OsRng};
use sha2::{Digest as _, Sha256};

use super::Scope;

/// What `token --help` adds.
pub const EXAMPLE: &str = "\
The first line of the output is the token, for the client; the second is for a file of the folder --tokens: it holds the
token's hash and scopes. The file's name is the client's name. Several lines make a rotation possible.

In a Secret, for a client named checkout:
  fraudops-scorer token --scopes predict,feedback > new
  kubectl create secret generic fraud-tokens --from-literal=checkout=\"$(sed -n 2p new)\"

What the client sends:
  curl -H \"Authorization: Bearer $(sed -n 1p new)\" ...

Scopes: predict (/predict, /predict/batch, infer over HTTP and gRPC), feedback (/feedback), admin (/model of the admin port).";

/// Arguments of `token`.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct TokenArgs {
    /// What the token is for: predict, feedback, admin; several with commas.
    #[arg(
        long,
        env = "FRAUDOPS_TOKEN_SCOPES",
        value_delimiter = ',',
        default_value = "predict",
        value_parser = scope
    )]
    pub scopes: Vec<Scope>,
}

fn scope(text: &str) -> Result<Scope, String> {
    let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
    found.ok_or_else(|| "give some of predict, feedback, admin".to_owned())
}

/// A new token.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// For the client. It is nowhere else.
    pub token: String,
    /// For the client's file in the Secret.
    pub line: String,
}

/// Makes a token of 32 random bytes.
pub fn issue(arguments: &TokenArgs) -> Result<Issued, String> {
    let mut secret = [0_u8; 32];
    OsRng
        .try_fill_bytes(&mut secret)
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    let token = URL_SAFE_NO_PAD.encode(secret);
    let scopes: Vec<_> = arguments.scopes.iter().map(|scope| scope.as_str()).collect();
    let line = format!("{} sha256:{:x}", scopes.join(","), Sha256::digest(&token));
    Ok(Issued { token, line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Tokens;

    #[test]
    fn a_new_token_opens_what_its_line_says() {
        let arguments = TokenArgs {
            scopes: vec![Scope::Predict, Scope::Admin],
        };
        let issued = issue(&arguments).unwrap();
        assert_eq!(issued.token.len(), 43);
        assert!(!issued.line.contains(&issued.token));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shop"), &issued.line).unwrap();
        let tokens = Tokens::read(folder.path()).unwrap();
        let (client, scopes) = tokens.find(issued.token.as_bytes()).unwrap();
        assert_eq!(&*client, "shop");
        assert_eq!(Scope::ALL.map(|scope| scopes.has(scope)), [true, false, true]);
        assert!(issued != issue(&arguments).unwrap());
    }

    #[test]
    fn scopes_are_checked() {
        assert_eq!(scope("feedback"), Ok(Scope::Feedback));
        assert!(scope("everything").is_err());
    }
}
