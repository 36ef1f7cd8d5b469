//! A small real HTTP server on a loopback port, scripted by the test. Also included by the tests
//! of other crates, so it uses nothing but the standard library.

#![allow(unreachable_pub, dead_code, reason = "shared by test binaries that each use a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// `POST`, `GET` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header block, lower-cased names.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

/// What the server does with a request.
pub enum Reply {
    /// Status, further header lines (each ending in CRLF), body.
    Send(u16, &'static str, Vec<u8>),
    /// Closes the connection without an answer.
    Close,
    /// Promises more bytes than it sends, then closes.
    Cut(Vec<u8>),
    /// The same with further header lines.
    CutAs(&'static str, Vec<u8>),
    /// Sends nothing until the client gives up.
    Hang,
}

/// The running server; stops when dropped.
pub struct Loopback {
    /// Where it listens.
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<ReceivedRequest>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Loopback {
    /// Starts a server; `script` gets each request and its number, from 0 in order of arrival.
    pub fn start(script: impl Fn(&ReceivedRequest, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let (calls, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (script, log, flag) = (Arc::new(script), calls.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if flag.load(Ordering::SeqCst) {
                    break;
                }
                let (script, log) = (script.clone(), log.clone());
                let Ok(stream) = stream else { continue };
                std::thread::spawn(move || serve(stream, &*script, &log));
            }
        });
        Self { address, calls, stop, thread: Some(thread) }
    }

    /// Base address.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request so far, in order of arrival.
    pub fn calls(&self) -> Vec<ReceivedRequest> {
        self.calls.lock().expect("no panic while held").clone()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    script: &(dyn Fn(&ReceivedRequest, usize) -> Reply + Send + Sync),
    log: &Mutex<Vec<ReceivedRequest>>,
) {
    let Some(call) = read_call(&mut stream) else {
        return;
    };
    let number = {
        let mut log = log.lock().expect("no panic while held");
        log.push(call.clone());
        log.len() - 1
    };
    let head = |status: u16, headers: &str, n: usize| {
        format!("HTTP/1.1 {status} X\r\ncontent-length: {n}\r\nconnection: close\r\n{headers}\r\n")
    };
    let _ = match script(&call, number) {
        Reply::Send(status, headers, body) => {
            let body_sent = if call.method == "HEAD" { &[][..] } else { &body[..] };
            stream.write_all(head(status, headers, body.len()).as_bytes()).and_then(|()| stream.write_all(body_sent))
        }
        Reply::Cut(body) => cut(&mut stream, &head, "", &body),
        Reply::CutAs(headers, body) => cut(&mut stream, &head, headers, &body),
        Reply::Close => Ok(()),
        Reply::Hang => stream.read_to_end(&mut Vec::new()).map(|_| ()),
    };
}

fn cut(
    stream: &mut TcpStream,
    head: &dyn Fn(u16, &str, usize) -> String,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    stream.write_all(head(200, headers, body.len() * 2 + 100).as_bytes())?;
    stream.write_all(body)
}

fn read_call(stream: &mut TcpStream) -> Option<ReceivedRequest> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            n => bytes.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            n => body.extend_from_slice(&chunk[..n]),
        }
    }
    Some(ReceivedRequest { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
