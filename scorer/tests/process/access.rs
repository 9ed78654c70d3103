//! Who may call, and how often: tokens, scopes and rates, on all three ports.

mod bodies;
mod certificates;
mod rates;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use crate::{
    client::{Answer, Connection, get},
    server::{Server, good, poll, scorer},
};

const WRONG: &str = "bm9ib2R5IGhhcyB0aGlzIHRva2VuLCBub3QgZXZlbiBJ";

/// A token for these scopes: the client's part, and the line for the Secret.
fn token(scopes: &str) -> (String, String) {
    let output = scorer().args(["token", "--scopes", scopes]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    (lines[0].to_owned(), lines[1].to_owned())
}

/// A Secret, mounted as the kubelet does it: the files are links into a folder that is exchanged at once.
struct Secret {
    folder: TempDir,
    versions: usize,
}

impl Secret {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tokens")).unwrap();
        let mut secret = Self { folder, versions: 0 };
        secret.publish(files);
        secret
    }

    fn publish(&mut self, files: &[(&str, &str)]) {
        self.versions += 1;
        let version = format!("..version-{}", self.versions);
        fs::create_dir(self.path().join(&version)).unwrap();
        symlink(&version, self.path().join("..new")).unwrap();
        for (name, content) in files {
            fs::write(self.path().join(&version).join(name), content).unwrap();
            let link = self.path().join(name);
            if !link.is_symlink() {
                symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        fs::rename(self.path().join("..new"), self.path().join("..data")).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// A scorer with these tokens.
    fn server(&self, arguments: &[&str]) -> Server {
        let path = self.path();
        let environment = [("FRAUDOPS_TOKENS", path.to_str().unwrap())];
        let server = Server::start_with(arguments, &environment);
        server.wait_until_ready();
        server
    }
}

/// A client with one token.
struct Shop {
    token: String,
    secret: Secret,
}

fn shop(scopes: &str) -> Shop {
    let (token, line) = token(scopes);
    let secret = Secret::new(&[("shop", &line)]);
    Shop { token, secret }
}

fn head(method: &str, path: &str, token: Option<&str>, headers: &str) -> String {
    let token = token.map_or(String::new(), |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    format!("{method} {path} HTTP/1.1\r\nhost: scorer\r\n{token}{headers}")
}

fn whole(method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let length = format!("content-length: {}\r\n\r\n", body.len());
    head(method, path, token, &length) + body
}

fn ask(address: SocketAddr, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
    let mut connection = Connection::open(address).unwrap();
    connection.send(whole(method, path, token, body)).unwrap();
    connection.answer().unwrap()
}

fn predict(server: &Server, token: Option<&str>) -> Answer {
    ask(server.http, "POST", "/predict", token, &good())
}

fn rows() -> String {
    let input = json!({"name": "features", "shape": [1, 15], "datatype": "FP32", "data": vec![0.5; 15]});
    json!({"inputs": [input]}).to_string()
}

fn denied(server: &Server, reason: &str) -> f64 {
    server.metric(&format!("fraud_access_denied_total{{reason=\"{reason}\"}}"))
}

/// One call over gRPC, with an empty message.
async fn call(channel: &Channel, method: &str, token: Option<&str>) -> tonic::Status {
    let mut caller = Grpc::new(channel.clone());
    caller.ready().await.unwrap();
    let mut request = tonic::Request::new(());
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let path = PathAndQuery::try_from(format!("/inference.GRPCInferenceService/{method}")).unwrap();
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    match caller.unary(request, path, codec).await {
        Ok(_) => tonic::Status::new(Code::Ok, ""),
        Err(status) => status,
    }
}

fn over_grpc<T>(server: &Server, work: impl AsyncFnOnce(Channel) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let endpoint = Channel::from_shared(format!("http://{}", server.grpc)).unwrap();
        work(endpoint.connect().await.unwrap()).await
    })
}

#[test]
fn every_route_lets_in_whoever_has_its_scope_and_nobody_else() {
    let scopes = ["predict", "feedback", "admin"];
    let tokens = scopes.map(token);
    let files: Vec<_> = scopes
        .iter()
        .zip(&tokens)
        .map(|(name, (_, line))| (*name, line.as_str()))
        .collect();
    let secret = Secret::new(&files);
    let server = secret.server(&["--workers", "1", "--idempotency-ttl", "0s"]);
    let identities = [
        (None, ""),
        (Some(WRONG), ""),
        (Some(tokens[0].0.as_str()), "predict"),
        (Some(tokens[1].0.as_str()), "feedback"),
        (Some(tokens[2].0.as_str()), "admin"),
    ];
    let (one, rows) = (good(), rows());
    let many = format!("[{one}]");
    let (serving, admin) = (server.http, server.admin);
    // The scope that a route needs, and what it answers to whoever has it.
    for (address, method, path, body, scope, status) in [
        (serving, "POST", "/predict", one.as_str(), "predict", 200),
        (serving, "POST", "/predict/batch", &many, "predict", 200),
        (serving, "POST", "/v2/models/tiny/infer", &rows, "predict", 200),
        (serving, "POST", "/v2/models/tiny/infer/", &rows, "predict", 200),
        (
            serving,
            "POST",
            "/v2/models/tiny/versions/0.0.1/infer",
            &rows,
            "predict",
            200,
        ),
        (serving, "POST", "/v2/models/other/infer", &rows, "predict", 404),
        (serving, "GET", "/predict", "", "predict", 405),
        (serving, "POST", "/feedback", "{}", "feedback", 422),
        (serving, "GET", "/feedback", "", "feedback", 405),
        (serving, "GET", "/livez", "", "", 200),
        (serving, "GET", "/readyz", "", "", 200),
        (serving, "GET", "/health", "", "", 200),
        (serving, "GET", "/openapi.json", "", "", 200),
        (serving, "GET", "/docs", "", "", 200),
        (serving, "GET", "/v2", "", "", 200),
        (serving, "GET", "/v2/health/live", "", "", 200),
        (serving, "GET", "/v2/health/ready", "", "", 200),
        (serving, "GET", "/v2/models/tiny", "", "", 200),
        (serving, "GET", "/v2/models/tiny/ready", "", "", 200),
        (serving, "GET", "/model", "", "", 404),
        (serving, "GET", "/metrics", "", "", 404),
        (serving, "POST", "/predict/", &one, "", 404),
        (serving, "POST", "/%70redict", &one, "", 404),
        (serving, "POST", "//predict", &one, "", 404),
        (admin, "GET", "/model", "", "admin", 200),
        (admin, "GET", "/%6dodel", "", "", 404),
        (admin, "GET", "/metrics", "", "", 200),
        (admin, "GET", "/livez", "", "", 200),
        (admin, "GET", "/readyz", "", "", 200),
        (admin, "GET", "/health", "", "", 200),
    ] {
        for (token, has) in identities {
            let answer = ask(address, method, path, token, body);
            let expected = match (scope, has) {
                ("", _) => status,
                (_, "") => 401,
                _ if scope == has => status,
                _ => 403,
            };
            assert_eq!(
                answer.status, expected,
                "{method} {path} with the scope {has:?}: {answer:?}"
            );
            if matches!(expected, 401 | 403) {
                assert_told(&answer, path, scope, has);
            }
        }
    }
    over_grpc(&server, async |channel| {
        for (token, has) in identities {
            let code = match has {
                "" => Code::Unauthenticated,
                "predict" => Code::NotFound, // an empty message names no model
                _ => Code::PermissionDenied,
            };
            assert_eq!(call(&channel, "ModelInfer", token).await.code(), code, "{has:?}");
            for open in ["ServerLive", "ServerReady", "ServerMetadata"] {
                assert_eq!(call(&channel, open, token).await.code(), Code::Ok, "{open}");
            }
        }
    });
}

/// A refusal says what would help, in the shape of the route.
fn assert_told(answer: &Answer, path: &str, scope: &str, has: &str) {
    let challenge = answer.header("www-authenticate").unwrap();
    let sentence = answer.json()[if path.starts_with("/v2") {
        "error"
    } else {
        "detail"
    }]
    .clone();
    let sentence = sentence.as_str().unwrap_or_else(|| panic!("{answer:?}"));
    assert!(challenge.starts_with("Bearer realm="), "{challenge}");
    if !has.is_empty() {
        assert!(challenge.ends_with(&format!("scope=\"{scope}\"")), "{challenge}");
        assert!(sentence.contains(scope), "{sentence}");
    }
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn without_tokens_everything_is_open_and_that_is_said_once() {
    let mut server = Server::ready(&["--workers", "1", "--drain-delay", "0s"]);
    assert_eq!(predict(&server, None).status, 200);
    assert_eq!(predict(&server, Some(WRONG)).status, 200);
    assert_eq!(get(server.admin, "/model").status, 200);
    for reason in ["no_token", "unknown_token", "missing_scope", "rate_limited"] {
        assert_eq!(denied(&server, reason), 0.0, "it is there from the start");
    }
    assert_eq!(server.metric("fraud_token_reload_failures_total"), 0.0);
    server.signal("TERM");
    let said = server.rest_of_log().matches("open to whoever reaches").count();
    assert_eq!(said, 1);
}

#[test]
fn tokens_that_cannot_be_read_are_an_error_at_start_and_none_at_all_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop"), "predict hunter2").unwrap();
    let output = scorer()
        .args([
            "serve",
            "--model",
            "m.onnx",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ])
        .args(["--grpc-listen", "off", "--tokens"])
        .arg(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("shop line 1 is not of the form") && !stderr.contains("hunter2"),
        "{stderr}"
    );
    let secret = Secret::new(&[]);
    let server = secret.server(&["--workers", "1"]);
    server.wait_for_log("nobody may call");
    assert_eq!(predict(&server, Some(WRONG)).status, 401);
}

#[test]
fn a_token_is_rotated_without_a_restart_and_a_broken_secret_changes_nothing() {
    let (old, old_line) = token("predict");
    let (new, new_line) = token("predict");
    let mut secret = Secret::new(&[("shop", &old_line)]);
    let server = secret.server(&["--workers", "2", "--idempotency-ttl", "0s"]);
    let works = |token: &str| predict(&server, Some(token)).status == 200;
    assert!(works(&old) && !works(&new));
    secret.publish(&[("shop", &format!("{old_line}\n{new_line}\n"))]);
    poll("the new token", || works(&new));
    assert!(works(&old), "both are good for a while");
    secret.publish(&[("shop", "nonsense")]);
    poll("the failure", || {
        server.metric("fraud_token_reload_failures_total") > 0.0
    });
    assert!(works(&old) && works(&new));
    secret.publish(&[("shop", &new_line)]);
    poll("the end of the old token", || !works(&old));
    assert!(works(&new));
}

#[test]
fn refusals_do_not_tell_one_wrong_token_from_another() {
    let shop = shop("predict");
    let server = shop.secret.server(&["--workers", "1"]);
    let almost = format!("{}_", &shop.token[..shop.token.len() - 1]);
    let twice = format!("{0}{0}", shop.token);
    let told = |token: &str| {
        let answer = predict(&server, Some(token));
        let headers = answer.headers.into_iter();
        let headers: Vec<_> = headers
            .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
            .collect();
        (answer.status, headers, answer.body)
    };
    let expected = told(WRONG);
    assert_eq!(expected.0, 401);
    for token in [
        almost.as_str(),
        &twice,
        "x",
        &"x".repeat(8_000),
        &shop.token.to_lowercase(),
    ] {
        assert_eq!(told(token), expected);
    }
    assert_eq!(predict(&server, Some(&shop.token)).status, 200);
}

#[test]
fn no_log_and_no_metric_shows_a_token_or_its_hash() {
    let (good_token, line) = token("predict");
    let (later, later_line) = token("predict");
    let hash = line.split_once(':').unwrap().1.to_owned();
    let mut secret = Secret::new(&[("shop", &line)]);
    let mut server = secret.server(&["--workers", "1", "--drain-delay", "0s", "--log-filter", "debug"]);
    for token in [Some(good_token.as_str()), Some(WRONG), None] {
        for path in [
            "/predict",
            "/feedback",
            "/v2/models/tiny/infer",
            "/docs",
            "/nowhere",
        ] {
            ask(server.http, "POST", path, token, "{}");
        }
        ask(server.admin, "GET", "/model", token, "");
        over_grpc(&server, async |channel| call(&channel, "ModelInfer", token).await);
    }
    secret.publish(&[("shop", "predict hunter2")]);
    poll("the failure", || {
        server.metric("fraud_token_reload_failures_total") > 0.0
    });
    secret.publish(&[("shop", &later_line)]);
    poll("the new token", || predict(&server, Some(&later)).status == 200);
    let metrics = get(server.admin, "/metrics").body;
    server.signal("TERM");
    let log = server.rest_of_log();
    assert!(
        log.contains("the tokens cannot be read") && log.contains("the tokens have changed"),
        "{log}"
    );
    for secret in [good_token.as_str(), &later, WRONG, &hash, "hunter2"] {
        assert!(!log.contains(secret) && !metrics.contains(secret), "{secret}");
    }
}

#[test]
fn the_document_asks_for_what_the_server_asks_for() {
    let shop = shop("predict");
    let server = shop.secret.server(&["--workers", "1", "--rate-limit", "100"]);
    let document = get(server.http, "/openapi.json").json();
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    let answers = &document["paths"]["/predict"]["post"]["responses"];
    assert!(
        ["401", "403", "429"]
            .iter()
            .all(|status| answers[status].is_object()),
        "{answers}"
    );
    assert!(get(server.http, "/docs").body.contains("id=\"token\""));
    let open = Server::ready(&["--workers", "1"]);
    let document = get(open.http, "/openapi.json").json();
    assert_eq!(document["components"]["securitySchemes"], Value::Null);
}

#[test]
fn the_token_command_makes_a_token_and_the_line_for_the_secret() {
    let (token, line) = token("predict,feedback");
    assert_eq!(token.len(), 43);
    assert!(
        line.starts_with("predict,feedback sha256:") && !line.contains(&token),
        "{line}"
    );
    let secret = Secret::new(&[("shop", &line)]);
    let server = secret.server(&["--workers", "1"]);
    assert_eq!(predict(&server, Some(&token)).status, 200);
    let help = scorer().args(["token", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for words in ["kubectl create secret", "Authorization: Bearer", "--scopes"] {
        assert!(help.contains(words), "{words} is missing in\n{help}");
    }
    let wrong = scorer()
        .args(["token", "--scopes", "everything"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        !wrong.status.success() && stderr.contains("predict, feedback, admin"),
        "{stderr}"
    );
}
