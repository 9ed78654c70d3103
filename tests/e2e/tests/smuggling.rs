//! Requests that two readers could understand differently, sent to the scorer through Traefik: what the scorer takes for a
//! request was one to Traefik, too. A request that the scorer sees and nobody asked for would be answered to somebody else.

use std::fs;

use anyhow::Result;
use fraudops_e2e::{Caller, Namespace};
use serde_json::json;

const V1: &str = "2026.11.1";
const NAME: &str = "card-fraud";
const HOST: &str = "smuggling.test";
const REQUESTS: &str = "fraud_requests_total";
/// What only answers of the scorer carry.
const FROM_THE_SCORER: &str = "x-request-id:";
/// What follows the ambiguous request on its connection. Nobody may take it for more than one request.
const SMUGGLED: &str = "GET /v2 HTTP/1.1\r\nhost: smuggling.test\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn traefik_and_the_scorer_see_the_same_requests() -> Result<()> {
    let payments = Namespace::fresh("smuggling").await?;
    let mut manifest = payments.manifest(NAME, HOST, &payments.stage.model(V1)?)?;
    manifest["spec"]["scorer"]["replicas"] = json!(1);
    payments.apply(&manifest)?;
    payments.until_stable(NAME, V1).await?;
    Caller::of(
        &payments.stage,
        HOST,
        &fs::read(payments.quickstart("transaction.json"))?,
    )
    .await?;

    let (mut seen, mut refused) = (payments.sum(NAME, REQUESTS, &[]).await?, 0);
    for attack in attacks() {
        let stage = payments.stage.clone();
        let bytes = [attack.as_bytes(), SMUGGLED.as_bytes()].concat();
        let answer = tokio::task::spawn_blocking(move || stage.send_raw(HOST, &bytes)).await??;
        let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let now = payments.sum(NAME, REQUESTS, &[]).await?;
        let (by_the_scorer, in_all) = (answer.matches(FROM_THE_SCORER).count(), answers(&answer));
        // Of a body that breaks off in between the scorer has seen the head, and Traefik gives the answer.
        let counted = by_the_scorer as f64..=in_all as f64;
        assert!(
            counted.contains(&(now - seen)),
            "{} requests of {attack:?}: {answer}",
            now - seen
        );
        refused += usize::from(now == seen);
        seen = now;
    }
    let all = attacks().len();
    println!(
        "of {all} ambiguous requests {refused} reached no scorer, and no other request came with the rest"
    );
    assert!(
        refused < all,
        "nothing reached the scorer, so nothing was compared"
    );
    payments.remove().await
}

/// Whole answers: without those that only say to go on.
fn answers(text: &str) -> usize {
    let count = |status: &str| text.matches(status).count();
    count("http/1.1 ") + count("http/1.0 ") - count("http/1.1 100 ")
}

fn attacks() -> Vec<String> {
    let post = format!("POST /predict/batch HTTP/1.1\r\nhost: {HOST}\r\n");
    let framed = [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n",
        "transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding\0: chunked\r\n\r\n0\r\n\r\n",
        "content-length: 0\r\ntransfer_encoding: chunked\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2;\n[]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2;a=b\r\n[]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0x2\r\n[]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2 \r\n[]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\n[]XX0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\n[]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\n[]\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n[]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nx: y\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\ncontent-length: 9\r\n\r\n",
        "content-length: 2\r\ncontent-length: 2\r\n\r\n[]",
        "content-length: 2\r\ncontent-length: 4\r\n\r\n[]",
        "content-length: 2\r\ncontent-length: 0\r\n\r\n[]",
        "content-length: 2, 2\r\n\r\n[]",
        "content-length: +2\r\n\r\n[]",
        "content-length: 0x2\r\n\r\n[]",
        "content-length: \r\n\r\n[]",
        "content-length : 2\r\n\r\n[]",
        "x: a\r\n folded\r\ncontent-length: 2\r\n\r\n[]",
        "x: a\ncontent-length: 2\r\n\r\n[]",
        "x: a\rcontent-length: 0\r\ncontent-length: 2\r\n\r\n[]",
        "expect: 100-continue\r\ncontent-length: 2\r\n\r\n[]",
        "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAoAAA\r\ncontent-length: 2\r\n\r\n[]",
        "connection: content-length\r\ncontent-length: 2\r\n\r\n[]",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
    ];
    let mut all: Vec<String> = framed.iter().map(|rest| format!("{post}{rest}")).collect();
    let old = "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n[]";
    all.extend([
        format!("POST /predict/batch HTTP/1.0\r\nhost: {HOST}\r\n{old}"),
        format!("GET /v2 HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\n[]"),
        format!("HEAD /v2 HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\n\r\n[]"),
        format!("GET /v2?a=\u{1}b HTTP/1.1\r\nhost: {HOST}\r\n\r\n"),
        format!("GET http://{HOST}/v2 HTTP/1.1\r\nhost: other.test\r\n\r\n"),
        format!("GET /v2%0d%0ax: HTTP/1.1\r\nhost: {HOST}\r\n\r\n"),
    ]);
    all
}
