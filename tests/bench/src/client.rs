//! A plain HTTP/1.1 client on one kept connection, small enough to cost little beside the server it measures.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Client {
    /// Connects; fails after five seconds.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream: BufReader::new(stream),
            line: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends a body and answers the status; the answer's body is in [`Client::body`].
    pub fn post(&mut self, path: &str, body: &str) -> Result<u16> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.exchange((head + body).as_bytes())
    }

    /// Asks for a path.
    pub fn get(&mut self, path: &str) -> Result<u16> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes())
    }

    /// The body of the last answer.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.get_mut().write_all(request)?;
        let status = self
            .next_line()?
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok());
        let mut length = 0;
        while !self.next_line()?.is_empty() {
            if let Some((name, value)) = self.line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        status.context("the answer has no status line")
    }

    fn next_line(&mut self) -> Result<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line)?;
        self.line.truncate(self.line.trim_end().len());
        Ok(&self.line)
    }
}
