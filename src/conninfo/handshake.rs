//! TLS sessions on OpenSSL: what is always asked for, the handshake, what the password is bound to.
//!
//! Not the openssl crate's `SslConnector`: making one reads all authorities of the operating system, 40 ms for
//! either side, which only `sslrootcert=system` needs.

use std::error::Error as StdError;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{
    self, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef,
};
use openssl::x509::X509VerifyResult;
use openssl::x509::verify::X509CheckFlags;
use postgres::Socket;
use postgres::tls::ChannelBinding;
use tokio::io::BufReader;
use tokio_openssl::SslStream;

/// An encrypted stream. OpenSSL reads the head of each record by itself, hence the buffer.
pub(super) type Encrypted = SslStream<BufReader<Socket>>;

/// Bytes of that buffer, half a record.
const READ_AHEAD: usize = 8 << 10;

/// What the handshake of PostgreSQL 17's direct TLS, and nobody else's, says it is for.
const ALPN: &[u8] = b"\x0apostgresql";

/// No cipher without encryption or without a certificate, none that is known to be weak.
const CIPHERS: &str = "DEFAULT:!aNULL:!eNULL:!MD5:!3DES:!DES:!RC4:!IDEA:!SEED:!aDSS:!SRP:!PSK";

/// Begins what every session has in common; it believes in nobody's certificate yet.
pub(super) fn context() -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContextBuilder::new(SslMethod::tls_client())?;
    let mut options = SslOptions::ALL | SslOptions::NO_COMPRESSION;
    options.remove(SslOptions::DONT_INSERT_EMPTY_FRAGMENTS);
    builder.set_options(options);
    builder.set_mode(
        SslMode::AUTO_RETRY
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::RELEASE_BUFFERS,
    );
    builder.set_cipher_list(CIPHERS)?;
    builder.set_alpn_protos(ALPN)?;
    Ok(builder)
}

/// Begins TLS sessions.
#[derive(Clone)]
pub(super) struct Sessions {
    /// Whose certificates are believed, and which one is shown.
    pub context: SslContext,
    /// The server's certificate must name the host.
    pub checks_host: bool,
    /// The host is named to the server, unless it is an address.
    pub names_server: bool,
}

impl Sessions {
    /// Begins a session with a host.
    pub fn begin(&self, host: &str) -> Result<Ssl, ErrorStack> {
        let mut session = Ssl::new(&self.context)?;
        let address = host.parse::<IpAddr>().ok();
        if self.names_server && address.is_none() {
            session.set_hostname(host)?;
        }
        if self.checks_host {
            let demand = session.param_mut();
            demand.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
            match address {
                Some(address) => demand.set_ip(address)?,
                None => demand.set_host(host)?,
            }
        }
        Ok(session)
    }
}

/// Shakes hands.
pub(super) async fn shake(
    session: Ssl,
    socket: Socket,
) -> Result<Encrypted, Box<dyn StdError + Send + Sync>> {
    let mut stream = SslStream::new(session, BufReader::with_capacity(READ_AHEAD, socket))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => Err(Box::new(Refused {
            error,
            verified: stream.ssl().verify_result(),
        })),
    }
}

/// Why a handshake failed, and what is wrong with the certificate.
#[derive(Debug)]
struct Refused {
    error: ssl::Error,
    verified: X509VerifyResult,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        if self.verified != X509VerifyResult::OK {
            write!(f, ": {}", self.verified)?;
        }
        Ok(())
    }
}

impl StdError for Refused {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.error)
    }
}

/// Returns what SCRAM binds a password to, so that nobody can stand in between (RFC 5929, 4.1): the hash of
/// the server's certificate by the hash of its signature, by SHA-256 where that is MD5 or SHA-1.
pub(super) fn binding(session: &SslRef) -> ChannelBinding {
    let end_point = || {
        let certificate = session.peer_certificate()?;
        let signature = certificate.signature_algorithm().object().nid();
        let digest = match signature.signature_algorithms()?.digest {
            Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
            other => MessageDigest::from_nid(other)?,
        };
        certificate.digest(digest).ok()
    };
    match end_point() {
        Some(hash) => ChannelBinding::tls_server_end_point(hash.to_vec()),
        None => ChannelBinding::none(),
    }
}
