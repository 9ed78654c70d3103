mod malformed;

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::*;
use crate::http::{
    fixture::{LIMITS, PATIENCE, Port, on_one_thread, start},
    server::Limits,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The header block of a request: indexed method and scheme, literal path and authority.
fn request(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x04, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(&[0x01, 1, b'x']);
    block
}

fn get(path: &str) -> Vec<u8> {
    request(0x82, path)
}

fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// Kind and payload of the whole frames that a server sent.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        frames.push((head[3], payload));
        bytes = rest;
    }
    frames
}

/// The error code of the GOAWAY in what a server sent.
fn goodbye(bytes: &[u8]) -> Option<u32> {
    let all = frames(bytes);
    let (_, payload) = all.iter().find(|(kind, _)| *kind == GOAWAY)?;
    Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?))
}

/// Reads up to a GOAWAY.
async fn until_goodbye(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let reading = async {
        while goodbye(&received).is_none() {
            let read = stream.read_buf(&mut received).await.unwrap();
            assert!(read > 0, "it was closed without a GOAWAY");
        }
    };
    timeout(PATIENCE, reading).await.expect("a GOAWAY in time");
    received
}

const ENHANCE_YOUR_CALM: u32 = 0xb;

async fn still_serves(port: &Port) {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let got = port.caller(version).get("/v2/health/live").await;
        assert_eq!(got.status, StatusCode::OK);
    }
}

#[test]
fn ambiguous_requests_are_closed_and_what_follows_them_is_never_answered() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let smuggled = "GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n";
        let post = "POST /predict/batch HTTP/1.1\r\nhost: x\r\n";
        let table = [
            format!("{post}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n2;\n[]\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n0x2\r\n[]\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n2\r\n[]XX0\r\n\r\n{smuggled}"),
            format!(
                "{post}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n[]\r\n0\r\n\r\n{smuggled}"
            ),
            format!("{post}content-length: 2\r\ncontent-length: 2\r\n\r\n[]{smuggled}"),
            format!("{post}content-length: 2, 2\r\n\r\n[]{smuggled}"),
            format!("{post}content-length : 2\r\n\r\n[]{smuggled}"),
            format!("{post}x: a\r\n folded\r\ncontent-length: 2\r\n\r\n[]{smuggled}"),
            format!("POST /predict/batch HTTP/1.1\nhost: x\ncontent-length: 2\n\n[]{smuggled}"),
            format!("{post}x: a\ncontent-length: 2\r\n\r\n[]{smuggled}"),
            format!("{post}x: a\rb\r\ncontent-length: 2\r\n\r\n[]{smuggled}"),
            format!("{post}x\0: a\r\ncontent-length: 2\r\n\r\n[]{smuggled}"),
            format!("{post}content-length: 2\r\ncontent-length: 4\r\n\r\n[]{smuggled}"),
            format!("{post}content-length: 2\r\nContent-Length: 0\r\n\r\n[]{smuggled}"),
            format!("{post}content-length: 0x2\r\n\r\n[]{smuggled}"),
            format!("{post}content-length: 2;\r\n\r\n[]{smuggled}"),
            format!("{post}content-length: \r\n\r\n[]{smuggled}"),
            format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: \x0cchunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding\0: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n2 \r\n[]\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n2\n[]\r\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n2\r\n[]\n0\r\n\r\n{smuggled}"),
            format!("{post}transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nx: y\n\r\n{smuggled}"),
            format!(
                "POST /predict/batch HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n[]{smuggled}"
            ),
            format!(" {post}content-length: 2\r\n\r\n[]{smuggled}"),
            format!("POST  /predict/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n[]{smuggled}"),
            format!("POST /predict/batch HTTP/1.1 \r\nhost: x\r\ncontent-length: 2\r\n\r\n[]{smuggled}"),
        ];
        for text in table {
            let answer = String::from_utf8(port.raw(text.as_bytes()).await).unwrap();
            assert!(!answer.contains("200 OK"), "{text:?}: {answer}");
            assert!(!answer.contains("binary_tensor_data"), "{text:?}: {answer}");
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
                "{text:?}: {answer}"
            );
        }
        still_serves(&port).await;
    });
}

#[test]
fn chunked_bodies_and_pipelined_requests_are_answered() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let text = "POST /predict/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n\
            GET /v2/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = String::from_utf8(port.raw(text.as_bytes()).await).unwrap();
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    });
}

#[test]
fn a_rapid_reset_ends_the_connection() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let mut bytes = hello();
        for stream in (1..4000).step_by(2) {
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/slow")));
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        assert_eq!(goodbye(&port.raw(&bytes).await), Some(ENHANCE_YOUR_CALM));
        still_serves(&port).await;
    });
}

#[test]
fn a_flood_of_empty_data_ends_the_connection() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let mut bytes = hello();
        bytes.extend(frame(HEADERS, END_HEADERS, 1, &request(0x83, "/predict/batch")));
        for _ in 0..2000 {
            bytes.extend(frame(DATA, 0, 1, &[]));
        }
        assert_eq!(goodbye(&port.raw(&bytes).await), Some(ENHANCE_YOUR_CALM));
        still_serves(&port).await;
    });
}

#[test]
fn headers_that_never_end_end_the_connection() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let mut bytes = hello();
        bytes.extend(frame(HEADERS, END_STREAM, 1, &get("/v2/health/live")));
        for _ in 0..4000 {
            // Never indexed, so that nothing is kept of it: a header `x` with an empty value.
            bytes.extend(frame(CONTINUATION, 0, 1, &[0x10, 1, b'x', 0]));
        }
        let answer = port.raw(&bytes).await;
        assert!(goodbye(&answer).is_some_and(|code| code != 0), "{answer:?}");
        assert!(answered(&answer).is_empty(), "{answer:?}");
        still_serves(&port).await;
    });
}

#[test]
fn who_floods_and_reads_keeps_nobody_from_being_served() {
    on_one_thread(async {
        for flood in [
            frame(SETTINGS, 0, 0, &[]),
            frame(PING, 0, 0, &[0; 8]),
            frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        ] {
            let port = start(Transport::default(), LIMITS);
            let stream = TcpStream::connect(port.address).await.unwrap();
            let (mut reading, mut writing) = stream.into_split();
            writing.write_all(&hello()).await.unwrap();
            let many = flood.repeat(1000);
            let flooding = async {
                for _ in 0..20 {
                    if writing.write_all(&many).await.is_err() {
                        break;
                    }
                }
                let _ = writing.shutdown().await;
            };
            let mut sink = vec![0; 65536];
            let draining = async { while reading.read(&mut sink).await.is_ok_and(|read| read > 0) {} };
            let all = async { tokio::join!(flooding, draining, still_serves(&port)) };
            timeout(PATIENCE, all).await.expect("all of it ends");
            still_serves(&port).await;
        }
    });
}

/// The first byte of the header block of every answer, with its stream: 0x88 is a 200.
fn answered(mut bytes: &[u8]) -> Vec<(u32, u8)> {
    let mut answers = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        if head[3] == HEADERS {
            answers.push((stream, payload.first().copied().unwrap_or_default()));
        }
        bytes = rest;
    }
    answers
}

#[test]
fn more_header_bytes_than_allowed_are_refused() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_2);
        let large = "x".repeat(MAX_HEAD_BYTES);
        let got = caller.send(Method::GET, "/v2", &[("x-large", &large)], "").await;
        assert_eq!(got.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        still_serves(&port).await;
    });
}

#[test]
fn who_floods_and_does_not_read_is_given_up() {
    on_one_thread(async {
        let limits = Limits {
            write_timeout: Duration::from_millis(300),
            ..LIMITS
        };
        for flood in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
            let port = start(Transport::default(), limits);
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut stream = socket.connect(port.address).await.unwrap();
            stream.write_all(&hello()).await.unwrap();
            let many = flood.repeat(4096);
            let flooding = async { while stream.write_all(&many).await.is_ok() {} };
            let (ended, ()) = tokio::join!(timeout(PATIENCE, flooding), still_serves(&port));
            assert!(ended.is_ok(), "the connection must be closed");
        }
    });
}

#[test]
fn only_so_many_streams_run_at_a_time() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(&hello()).await.unwrap();
        let mut settings = [0; 256];
        let read = timeout(PATIENCE, stream.read(&mut settings))
            .await
            .unwrap()
            .unwrap();
        let concurrent = [&[0, 3][..], &MAX_STREAMS.to_be_bytes()].concat();
        let mut windows = settings[..read].windows(6);
        assert!(windows.any(|six| six == concurrent), "{:?}", &settings[..read]);
    });
}

#[test]
fn a_panic_is_a_500_of_its_own_stream() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let caller = port.caller(version);
            let (slow, panicked) = tokio::join!(caller.get("/slow"), caller.get("/panic"));
            assert_eq!(panicked.status, StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!((slow.status, slow.version), (StatusCode::OK, version));
        }
        let page = port.metrics.expose(crate::metrics::Format::Text, true);
        assert!(page.lines().any(|line| line == "fraud_panics_total 2"), "{page}");
    });
}

#[test]
fn draining_says_goodbye_in_both_versions_and_answers_what_is_under_way() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        port.gate.send_replace(Gate::Draining);
        let got = port.caller(Version::HTTP_11).get("/slow").await;
        assert_eq!(
            (got.status, got.header("connection")),
            (StatusCode::OK, Some("close"))
        );
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        let bytes = [
            hello(),
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/slow")),
        ]
        .concat();
        stream.write_all(&bytes).await.unwrap();
        let received = until_goodbye(&mut stream).await;
        assert_eq!(goodbye(&received), Some(0), "without an error");
        let answered = frames(&received).iter().any(|(kind, _)| *kind == HEADERS);
        assert!(answered, "the request under way is answered first");
    });
}

#[test]
fn a_closed_gate_ends_idle_connections_of_both_versions() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let mut idle = Vec::new();
        for first in [hello(), b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()] {
            let mut stream = TcpStream::connect(port.address).await.unwrap();
            stream.write_all(&first).await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            idle.push(stream);
        }
        port.gate.send_replace(Gate::Closed);
        let [mut http2, mut http1] = <[TcpStream; 2]>::try_from(idle).unwrap();
        timeout(PATIENCE, http1.read_to_end(&mut Vec::new()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(goodbye(&until_goodbye(&mut http2).await), Some(0));
    });
}

#[test]
fn an_idle_http2_connection_is_asked_to_leave_and_closed() {
    on_one_thread(async {
        let limits = Limits {
            idle_timeout: Duration::from_millis(200),
            head_timeout: Duration::from_millis(200),
            ..LIMITS
        };
        let port = start(Transport::default(), limits);
        let answer = port.raw(&hello()).await;
        assert_eq!(goodbye(&answer), Some(0));
    });
}

#[test]
fn a_port_for_http2_only_refuses_http1() {
    on_one_thread(async {
        let transport = Transport {
            versions: Versions::Http2,
            ..Transport::default()
        };
        let port = start(transport, LIMITS);
        let answer = port.raw(b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(!answer.starts_with(b"HTTP/1.1"), "{answer:?}");
        assert_eq!(
            port.caller(Version::HTTP_2).get("/v2").await.status,
            StatusCode::OK
        );
    });
}
