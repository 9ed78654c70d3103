//! A small web server that answers as a test wants it to, over HTTP or HTTPS.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use tempfile::TempDir;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub authorization: Option<String>,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Sends so many bytes of the body only, and closes.
    pub cut: Option<usize>,
    /// Sends nothing of the body until the client gives up.
    pub hang: bool,
    /// Says nothing about the length of the body.
    pub lengthless: bool,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            body: body.into(),
            ..Self::default()
        }
    }

    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// The server; it lives as long as the test's process.
pub struct Origin {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    certificate: Option<(TempDir, PathBuf)>,
    // Dropped, it lets hanging answers end.
    _alive: Sender<()>,
}

type Handler = dyn Fn(&Asked) -> Reply + Send + Sync;

impl Origin {
    pub fn http(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(handler), None)
    }

    pub fn https(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let mut origin = Self::start(Arc::new(handler), Some(Arc::new(config)));
        origin.certificate = Some((directory, file));
        origin
    }

    fn start(handler: Arc<Handler>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (alive, gone) = channel();
        let gone = Arc::new(Mutex::new(gone));
        let origin = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            certificate: None,
            _alive: alive,
        };
        let asked = Arc::clone(&origin.asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (handler, asked, gone, tls) = (handler.clone(), asked.clone(), gone.clone(), tls.clone());
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                    match tls {
                        None => serve(stream, &*handler, &asked, &gone),
                        Some(config) => {
                            let Ok(session) = ServerConnection::new(config) else {
                                return;
                            };
                            serve(StreamOwned::new(session, stream), &*handler, &asked, &gone);
                        }
                    }
                });
            }
        });
        origin
    }

    /// The file to trust, for SSL_CERT_FILE.
    pub fn certificate(&self) -> &str {
        self.certificate
            .as_ref()
            .and_then(|(_, file)| file.to_str())
            .expect("this origin speaks https")
    }

    /// The paths that were asked for, in order.
    pub fn paths(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|a| a.path.clone())
            .collect()
    }
}

fn serve(
    stream: impl Read + Write,
    handler: &Handler,
    asked: &Mutex<Vec<Asked>>,
    gone: &Mutex<Receiver<()>>,
) {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match stream.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim().is_empty() => break,
            Ok(_) => lines.push(line.trim().to_owned()),
        }
    }
    let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
    let split = |l: &String| l.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned()));
    let mut request = Asked {
        path,
        authorization: None,
        headers: lines.iter().filter_map(split).collect(),
    };
    request.authorization = request.header("authorization").map(str::to_owned);
    asked.lock().unwrap().push(request.clone());
    let reply = handler(&request);
    let mut head = format!("HTTP/1.1 {} Test\r\nconnection: close\r\n", reply.status);
    if !reply.lengthless {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let stream = stream.get_mut();
    let _ = stream.write_all((head + "\r\n").as_bytes());
    let _ = stream.flush();
    if reply.hang {
        let _ = gone.lock().unwrap().recv();
    }
    let _ = stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())]);
    let _ = stream.flush();
}
