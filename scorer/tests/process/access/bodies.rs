//! Refusals come before the body, and what becomes of the connection then.

use tonic::Code;

use super::{WRONG, call, head, over_grpc, shop, whole};
use crate::{
    client::Connection,
    server::{good, poll},
};

#[test]
fn a_refusal_does_not_wait_for_the_body_and_leaves_the_connection_usable() {
    let shop = shop("predict");
    let server = shop.secret.server(&["--workers", "1"]);
    let mut connection = Connection::open(server.http).unwrap();
    let body = good();
    for chunked in [false, true] {
        let headers = if chunked {
            "transfer-encoding: chunked\r\n\r\n".to_owned()
        } else {
            format!("content-length: {}\r\n\r\n", body.len())
        };
        connection.send(head("POST", "/predict", None, &headers)).unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (401, None));
        // The rest of the request, and a better one.
        let rest = if chunked {
            format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        } else {
            body.clone()
        };
        connection
            .send(rest + &whole("POST", "/predict", Some(&shop.token), &good()))
            .unwrap();
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    for _ in 0..100 {
        connection
            .send(whole("POST", "/predict", Some(WRONG), &body))
            .unwrap();
        assert_eq!(connection.answer().unwrap().status, 401);
    }
    connection
        .send(whole("POST", "/predict", Some(&shop.token), &good()))
        .unwrap();
    assert_eq!(connection.answer().unwrap().status, 200);
    assert_eq!(server.metric("fraud_connections_accepted_total"), 1.0);
    over_grpc(&server, async |channel| {
        for _ in 0..100 {
            assert_eq!(
                call(&channel, "ModelInfer", None).await.code(),
                Code::Unauthenticated
            );
        }
        assert_eq!(
            call(&channel, "ModelInfer", Some(&shop.token)).await.code(),
            Code::NotFound
        );
    });
    assert_eq!(server.metric("fraud_connections_accepted_total"), 2.0);
}

#[test]
fn a_refused_client_with_a_large_a_slow_or_a_waiting_body_loses_its_connection() {
    let shop = shop("predict");
    let server = shop.secret.server(&["--workers", "1", "--body-timeout", "300ms"]);
    let refused = |headers: &str| {
        let mut connection = Connection::open(server.http).unwrap();
        connection.send(head("POST", "/predict", None, headers)).unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!(answer.status, 401, "no 100 Continue comes before");
        assert_eq!(connection.rest().unwrap(), b"");
        answer.header("connection").map(str::to_owned)
    };
    let close = Some("close".to_owned());
    assert_eq!(
        refused("expect: 100-continue\r\ncontent-length: 700\r\n\r\n"),
        close
    );
    assert_eq!(refused("content-length: 2000000\r\n\r\n"), close);
    assert_eq!(refused("content-length: 700\r\n\r\n{"), None, "it may still come");
    poll("the end of all connections", || {
        server.metric("fraud_connections") == 0.0
    });
}
