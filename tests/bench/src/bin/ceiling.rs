//! The ceiling: what axum answers when there is nothing to do. The same HTTP libraries and release profile as the scorer's.

use std::net::SocketAddr;

use axum::{Router, routing::post, serve::ListenerExt};
use tokio::net::TcpListener;

/// As long as a usual answer of the scorer, with its receipt: 320 bytes.
const ANSWER: &str = concat!(
    r#"{"is_fraud":false,"fraud_probability":0.0021520853,"decision":"approve","source":"model","#,
    r#""model_version":"bench","receipt":""#,
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    r#""}"#
);
const _: () = assert!(ANSWER.len() == 320);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address: SocketAddr = std::env::args().nth(1).unwrap_or_default().parse()?;
    let listener = TcpListener::bind(address).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let json = [("content-type", "application/json")];
    let routes = Router::new().route("/predict", post(async move || (json, ANSWER)));
    axum::serve(listener, routes).await?;
    Ok(())
}
