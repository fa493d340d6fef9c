//! A server by hand, small enough to do anything wrong that a test asks for: HTTP and websocket upgrades, plain or TLS,
//! on 127.0.0.1 and a free port. And the certificates, settings and log that go with it.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use faraday_agent::config::settings::{ProtocolChoice, Server};
use faraday_agent::shell::net::limits::Limits;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// What a server may run on.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}
pub type Boxed = Box<dyn Stream>;

/// Serves every connection to a free port on a thread of its own, until the test process ends.
pub fn serve(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = Arc::clone(&handler);
            thread::spawn(move || handler(stream));
        }
    });
    port
}

/// A port on which nothing listens.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Accepts connections and never says a word.
pub fn black_hole() -> u16 {
    serve(|stream| {
        let mut stream = stream;
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    })
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Counts the connections of this server.
    pub connection: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// What the server does with a request.
pub enum Reply {
    /// Status, further header lines, body.
    Answer(u16, &'static str, String),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// A websocket, on which these frames are sent before it is left open, echoing.
    Upgrade(Vec<Message>),
    /// A websocket that the server closes at once.
    UpgradeAndClose,
    /// Nothing, for ever.
    Silence,
}

pub fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(status, "", body.to_owned())
}

/// A server that follows a script, and what it was asked.
pub struct Rig {
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Rig {
    pub fn plain(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Rig {
        Rig::start(None, script)
    }

    pub fn tls(tls: Arc<ServerConfig>, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Rig {
        Rig::start(Some(tls), script)
    }

    fn start(tls: Option<Arc<ServerConfig>>, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Rig {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let connections = AtomicUsize::new(0);
        let port = serve(move |tcp| {
            let connection = connections.fetch_add(1, Ordering::SeqCst);
            let stream: Boxed = match &tls {
                Some(config) => {
                    let session = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                    Box::new(rustls::StreamOwned::new(session, tcp))
                }
                None => Box::new(tcp),
            };
            converse(stream, connection, &script, &seen);
        });
        Rig { port, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The request lines without `HTTP/1.1`, in order.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.line.trim_end_matches(" HTTP/1.1").to_owned()).collect()
    }
}

fn converse(stream: Boxed, connection: usize, script: &dyn Fn(&Request) -> Reply, seen: &Mutex<Vec<Request>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream, connection) {
        seen.lock().unwrap().push(request.clone());
        match script(&request) {
            Reply::Answer(status, headers, body) => {
                let head = format!("HTTP/1.1 {status} Words\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
                if stream.get_mut().write_all((head + &body).as_bytes()).is_err() {
                    return;
                }
                let _ = stream.get_mut().flush();
            }
            Reply::Raw(bytes) => {
                let _ = stream.get_mut().write_all(&bytes);
                let _ = stream.get_mut().flush();
                return;
            }
            Reply::Upgrade(frames) => return upgrade(stream.into_inner(), &request, frames),
            Reply::UpgradeAndClose => {
                let mut socket = accept(stream.into_inner(), &request);
                let _ = socket.close(None);
                let _ = socket.flush();
                return;
            }
            Reply::Silence => loop {
                thread::park();
            },
        }
    }
}

fn read_request(stream: &mut BufReader<Boxed>, connection: usize) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let split = |line: &String| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let headers: Vec<_> = lines[1..].iter().filter_map(split).collect();
    let mut request = Request { line: lines[0].clone(), headers, body: Vec::new(), connection };
    let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn accept(mut stream: Boxed, request: &Request) -> WebSocket<Boxed> {
    let key = derive_accept_key(request.header("sec-websocket-key").unwrap().as_bytes());
    // `WebSocket` in mixed case, as servers before 5.0 write it.
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.flush().unwrap();
    WebSocket::from_raw_socket(stream, Role::Server, None)
}

fn upgrade(stream: Boxed, request: &Request, frames: Vec<Message>) {
    let mut socket = accept(stream, request);
    for frame in frames {
        let _ = socket.send(frame);
    }
    while let Ok(message) = socket.read() {
        if message.is_text() || message.is_binary() {
            let _ = socket.send(message);
        }
    }
}

/// The settings that lead to `port`.
pub fn server(port: u16) -> Server {
    Server {
        host: "127.0.0.1".to_owned(),
        api_port: port,
        websocket_port: port,
        tls: false,
        tls_cert: None,
        tls_verify: true,
        base_route: String::new(),
        protocol: ProtocolChoice::Auto,
    }
}

/// Limits for servers that do answer: as shipped. For those that do not, the step in question gets this long.
pub fn short() -> Limits {
    let brief = Duration::from_millis(300);
    Limits {
        handshake: brief,
        upgrade: brief,
        greeting: brief,
        answer: brief,
        post: brief,
        stall: brief,
        ..Limits::default()
    }
}

/// A certificate with its key.
pub struct Identity {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

/// Certificate parameters with this common name and these alternative names.
pub fn params(common_name: &str, alternatives: &[&str]) -> CertificateParams {
    let names: Vec<String> = alternatives.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

impl Identity {
    pub fn self_signed(params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.self_signed(&key).unwrap(), key }
    }

    pub fn signed_by(params: &CertificateParams, issuer: &Issuer<'_, &KeyPair>) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, issuer).unwrap(), key }
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        server_config(self.certificate.der().clone(), key, rustls::ALL_VERSIONS)
    }

    /// The certificate as a PEM file.
    pub fn pem(&self) -> Scratch {
        Scratch::file("cert.pem", &self.certificate.pem())
    }
}

/// Presents this certificate and signs with this key, without asking whether they belong together.
pub fn server_config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    present(Arc::new(CertifiedKey::new(vec![certificate], key)), versions)
}

/// Presents this chain, the server's own certificate first, whatever it is.
pub fn chain_config(chain: Arc<CertifiedKey>) -> Arc<ServerConfig> {
    present(chain, rustls::ALL_VERSIONS)
}

fn present(chain: Arc<CertifiedKey>, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(Presented(chain))))
}

#[derive(Debug)]
struct Presented(Arc<CertifiedKey>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A directory that goes away with the test, and perhaps a file in it.
pub struct Scratch {
    directory: PathBuf,
    pub path: PathBuf,
}

impl Scratch {
    pub fn directory() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("faraday-net-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Scratch { path: directory.clone(), directory }
    }

    pub fn file(name: &str, text: &str) -> Scratch {
        let mut scratch = Scratch::directory();
        scratch.path = scratch.directory.join(name);
        std::fs::write(&scratch.path, text).unwrap();
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct ThreadLog;

impl log::Log for ThreadLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("faraday_agent") && metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LOG.with_borrow_mut(|lines| lines.push(format!("{}: {}", record.level(), record.args())));
        }
    }

    fn flush(&self) {}
}

/// What this test's thread has logged since the last call, from info upwards.
pub fn logged() -> Vec<String> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        log::set_logger(&ThreadLog).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    LOG.take()
}
