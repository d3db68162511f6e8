//! The stream of a connection, with TLS or without, which asks its [`Wire`] before it waits.
//!
//! The driver hands its socket out in one place only: to whoever is to encrypt it. So it is told that
//! TLS begins at once, and everything that stands before TLS (libpq manual 54.2.10), or in its place, is
//! done here. On Unix sockets the driver knows of no TLS; these it keeps to itself.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use postgres::Socket;
use postgres::config::SslMode;
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use postgres_openssl::TlsStream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::handshake::Sessions;
use super::merge::Merge;
use crate::wire::Wire;

/// Length 8 and the code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

type Failed = Box<dyn StdError + Send + Sync>;

/// Opens the streams of one connection, and of the requests to cancel what it runs.
#[derive(Clone)]
pub(super) struct Connector {
    /// Nothing where TLS is never asked for.
    pub tls: Option<Sessions>,
    /// Without TLS, with it where the server has it, or with it.
    pub mode: SslMode,
    /// TLS from the first byte.
    pub direct: bool,
    pub wire: Arc<Wire>,
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = Opening;
    type Error = Failed;

    fn make_tls_connect(&mut self, host: &str) -> Result<Opening, Failed> {
        let tls = match (self.mode, &self.tls) {
            (SslMode::Disable, _) => None,
            (_, Some(tls)) => Some(tls.clone()),
            // Never in clear for want of it.
            (_, None) => return Err("TLS is asked for and not set up".into()),
        };
        Ok(Opening {
            tls,
            host: host.to_string(),
            ask: !self.direct,
            optional: self.mode == SslMode::Prefer,
            wire: Arc::clone(&self.wire),
        })
    }
}

/// A stream about to be opened.
pub(super) struct Opening {
    tls: Option<Sessions>,
    host: String,
    ask: bool,
    optional: bool,
    wire: Arc<Wire>,
}

impl TlsConnect<Socket> for Opening {
    type Stream = Stream;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failed>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(self.open(socket))
    }
}

impl Opening {
    async fn open(self, mut socket: Socket) -> Result<Stream, Failed> {
        let inner = match self.tls {
            None => Inner::Plain(socket),
            Some(tls) if !self.ask || has_tls(&mut socket).await? => {
                let session = tls.begin(&self.host)?;
                Inner::Tls(Box::new(session.connect(socket).await?))
            }
            Some(_) if self.optional => Inner::Plain(socket),
            Some(_) => return Err("server does not support TLS".into()),
        };
        self.wire.attach();
        Ok(Stream {
            inner,
            merge: Merge::new(),
            wire: self.wire,
        })
    }
}

/// Asks the server. Not a byte more than its answer is read: what follows belongs to TLS.
async fn has_tls(socket: &mut Socket) -> io::Result<bool> {
    socket.write_all(&SSL_REQUEST).await?;
    let mut answer = [0];
    socket.read_exact(&mut answer).await?;
    Ok(answer == *b"S")
}

/// An open stream.
pub(super) struct Stream {
    inner: Inner,
    merge: Merge,
    wire: Arc<Wire>,
}

enum Inner {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// Leaves word whom to wake, where there is something to wait for.
    fn parked<T>(&self, cx: &Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_pending() {
            self.wire.park(cx.waker())?;
        }
        result
    }

    /// The same for what moves bytes.
    fn moved<T>(&self, cx: &Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.wire.note_moved();
        }
        self.parked(cx, result)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.check()?;
        let this = &mut *self;
        while !this.merge.pass(buffer) {
            let mut room = ReadBuf::new(this.merge.room());
            let result = match &mut this.inner {
                Inner::Plain(socket) => Pin::new(socket).poll_read(cx, &mut room),
                Inner::Tls(stream) => Pin::new(stream).poll_read(cx, &mut room),
            };
            let count = room.filled().len();
            if count == 0 || !matches!(result, Poll::Ready(Ok(()))) {
                return this.moved(cx, result);
            }
            this.merge.arrived(count);
        }
        this.wire.note_swallowed(this.merge.swallowed);
        this.wire.note_moved();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.check()?;
        let result = match &mut self.inner {
            Inner::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.moved(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.inner {
            Inner::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.parked(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.inner {
            Inner::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        self.parked(cx, result)
    }
}

impl postgres::tls::TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.inner {
            Inner::Plain(_) => ChannelBinding::none(),
            Inner::Tls(stream) => stream.channel_binding(),
        }
    }
}
