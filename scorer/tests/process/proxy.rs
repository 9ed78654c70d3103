//! A TCP proxy that cuts connections, between `fetch` and a real server.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// The proxy; it lives as long as the test's process.
pub struct Proxy {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    relayed: Arc<AtomicUsize>,
}

impl Proxy {
    /// The first connections are cut after so many bytes of answers each; the later ones are not.
    pub fn cutting(target: SocketAddr, cuts: &[usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            relayed: Arc::default(),
        };
        let cuts = cuts.to_vec();
        let (connections, relayed) = (proxy.connections.clone(), proxy.relayed.clone());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(target) else {
                    continue;
                };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || relay(from, to, usize::MAX, &AtomicUsize::new(0)));
                let (limit, relayed) = (cuts.get(number).copied().unwrap_or(usize::MAX), relayed.clone());
                thread::spawn(move || relay(server, client, limit, &relayed));
            }
        });
        proxy
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Bytes of answers so far, heads included.
    pub fn relayed(&self) -> usize {
        self.relayed.load(Ordering::SeqCst)
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, mut limit: usize, relayed: &AtomicUsize) {
    let mut buffer = vec![0; 16 * 1024];
    while limit > 0 {
        let wanted = buffer.len().min(limit);
        let count = match from.read(&mut buffer[..wanted]) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
        limit -= count;
        relayed.fetch_add(count, Ordering::SeqCst);
    }
    for stream in [&from, &to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
