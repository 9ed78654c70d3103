//! Header blocks of HTTP/2 that are none.

use super::*;

/// A literal header that is not indexed.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0, name.len() as u8];
    block.extend_from_slice(name.as_bytes());
    block.push(value.len() as u8);
    block.extend_from_slice(value.as_bytes());
    block
}

/// Sends a header block, and a good request behind it; answers who was answered how, up to the good one or the end.
async fn answers_to(port: &Port, block: &[u8]) -> Vec<(u32, u8)> {
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let mut bytes = hello();
    bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, block));
    bytes.extend(frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        3,
        &get("/v2/health/live"),
    ));
    stream.write_all(&bytes).await.unwrap();
    let mut received = Vec::new();
    let reading = async {
        while !answered(&received).iter().any(|(stream, _)| *stream == 3) {
            match stream.read_buf(&mut received).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("an answer or the end");
    answered(&received)
}

#[test]
fn malformed_headers_of_http2_are_never_answered_with_200() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let good = get("/v2/health/live");
        assert!(
            answers_to(&port, &good).await.contains(&(1, 0x88)),
            "this is a good one"
        );
        let with = |name: &str, value: &str| [good.clone(), literal(name, value)].concat();
        let table = [
            with(":path", "/v2"),
            with(":method", "GET"),
            with(":scheme", "http"),
            with(":status", "200"),
            with(":foo", "bar"),
            with("X-Upper", "1"),
            with("x y", "1"),
            with("x:y", "1"),
            with("", "1"),
            with("x", "a\r\nb: c"),
            with("x", "a\nb"),
            with("x", "a\0b"),
            with("connection", "close"),
            with("keep-alive", "1"),
            with("proxy-connection", "close"),
            with("transfer-encoding", "chunked"),
            with("upgrade", "h2c"),
            with("te", "gzip"),
            with("content-length", "5"),
            with("content-length", "-1"),
            [literal("x", "1"), good.clone()].concat(),
            [literal("x", "1"), literal(":path", "/v2"), vec![0x82, 0x86]].concat(),
            vec![0x82, 0x86],                               // no path
            [literal(":path", "/v2"), vec![0x86]].concat(), // no method
            [vec![0x82, 0x86], literal(":path", "")].concat(),
            [vec![0x82, 0x86], literal(":path", "v2")].concat(),
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], // an index that is not there
            vec![0x00, 0x7f],                         // cut short
        ];
        for block in &table {
            let answers = answers_to(&port, block).await;
            assert!(
                !answers.contains(&(1, 0x88)),
                "{:?}",
                String::from_utf8_lossy(block)
            );
        }
        still_serves(&port).await;
    });
}
