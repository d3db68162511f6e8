//! The framing of PostgreSQL's protocol: "Message Formats" in the chapter on the frontend/backend protocol.

use std::collections::HashMap;
use std::io::{self, Read};

/// Codes that stand in the place of a protocol version.
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// A message as it travels, and its type (0 for the first message of a client, which has none).
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) bytes: Vec<u8>,
}

impl Message {
    /// What follows type and length.
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[if self.kind == 0 { 4 } else { 5 }..]
    }
}

/// What a client's first message asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// TLS or GSS encryption; another first message follows.
    Encryption,
    /// The end of another session's query; nothing follows.
    Cancel,
    /// A session of this application.
    Session(String),
}

/// Reads one message. `Ok(None)` at the end of the stream.
pub(super) fn read_message(stream: &mut impl Read, typed: bool) -> io::Result<Option<Message>> {
    let header = if typed { 5 } else { 4 };
    let mut bytes = vec![0; header];
    match stream.read_exact(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = bytes[header - 4..]
        .iter()
        .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let kind = if typed { bytes[0] } else { 0 };
    // The length counts itself, but not the type.
    bytes.resize(header - 4 + length, 0);
    stream.read_exact(&mut bytes[header..])?;
    Ok(Some(Message { kind, bytes }))
}

/// Understands a client's first message.
pub(super) fn opening(message: &Message) -> Opening {
    let body = message.body();
    let code = body
        .iter()
        .take(4)
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    match code {
        SSL_REQUEST | GSS_REQUEST => Opening::Encryption,
        CANCEL_REQUEST => Opening::Cancel,
        _ => {
            let words: Vec<String> = body[4..].split(|byte| *byte == 0).map(text).collect();
            let application = words
                .chunks(2)
                .find(|pair| pair[0] == "application_name")
                .and_then(|pair| pair.get(1));
            Opening::Session(application.cloned().unwrap_or_default())
        }
    }
}

/// The prepared statements of one connection, by name.
#[derive(Default)]
pub(super) struct Statements(HashMap<String, String>);

impl Statements {
    /// The SQL that a client's message executes, if it is one that does. Notes what is prepared.
    pub(super) fn executed(&mut self, message: &Message) -> Option<String> {
        let mut words = message.body().split(|byte| *byte == 0).map(text);
        let mut word = || words.next().unwrap_or_default();
        match message.kind {
            b'Q' => Some(word()),
            b'P' => {
                let (name, sql) = (word(), word());
                self.0.insert(name, sql);
                None
            }
            b'B' => {
                let (_portal, name) = (word(), word());
                Some(self.0.get(&name).cloned().unwrap_or_default())
            }
            _ => None,
        }
    }
}

/// Whether a message of the server is an answer, and not something that it says on its own: notices,
/// parameter changes, notifications.
pub(super) fn is_answer(kind: u8) -> bool {
    !matches!(kind, b'N' | b'S' | b'A')
}

/// Whether the server says once that it is ready because of a client's message: a simple query, or a Sync.
pub(super) fn is_answered(kind: u8) -> bool {
    matches!(kind, b'Q' | b'S')
}

/// Whether a message of the server ends its answer: ready for the next query, or for the data of a COPY.
pub(super) fn ends_answer(kind: u8) -> bool {
    matches!(kind, b'Z' | b'G')
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
