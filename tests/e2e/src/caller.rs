//! A caller of the model, as outside the cluster: verified TLS, through Traefik, by host name.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use reqwest::{Certificate, Client, RequestBuilder};
use serde_json::Value;

use crate::{Stage, until};

/// An answer of the scorer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, or `Null` where it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, bytes: Vec<u8>) -> Self {
        Self {
            status,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        }
    }
}

/// Calls one host through the stage's Traefik; trusts only the stage's own CA.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    url: String,
    token: Option<String>,
}

impl Caller {
    /// A caller of `https://host`, once it answers: Traefik reads a new route within two seconds or so.
    pub async fn of(stage: &Stage, host: &str, transaction: &[u8]) -> Result<Self> {
        let caller = Self::new(stage, host)?;
        until("Traefik has read the route", Duration::from_secs(30), || async {
            Ok(match caller.predict(transaction).await {
                Ok(answer) if answer.status == 200 => Ok(()),
                other => Err(format!("{other:?}")),
            })
        })
        .await?;
        Ok(caller)
    }

    /// A caller of `https://host`, whether or not it answers.
    fn new(stage: &Stage, host: &str) -> Result<Self> {
        // Fails only where another caller of this process was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = std::fs::read(stage.fact("CA_FILE")?)?;
        let address: SocketAddr = format!("{}:443", stage.fact("TRAEFIK_ADDRESS")?).parse()?;
        let client = Client::builder()
            .tls_certs_only(Certificate::from_pem_bundle(&ca)?)
            .resolve(host, address)
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            client,
            url: format!("https://{host}"),
            token: None,
        })
    }

    /// The same caller, who shows a token.
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// Sends a transaction to `/predict`. An error is one of the connection: refused, not trusted, timed out.
    pub async fn predict(&self, transaction: &[u8]) -> Result<Answer> {
        self.post("/predict", "application/json", transaction).await
    }

    /// Sends a body to a path.
    pub async fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Answer> {
        let mut request = self
            .client
            .post(format!("{}{path}", self.url))
            .header("content-type", content_type)
            .body(body.to_vec());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        answer(request).await
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        answer(self.client.get(format!("{}{path}", self.url))).await
    }
}

async fn answer(request: RequestBuilder) -> Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await.context("the body broke off")?;
    Ok(Answer::new(status, bytes.into()))
}
