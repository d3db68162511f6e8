//! Makes many rows of a COPY one message, before the driver sees them.
//!
//! A server sends each row of `COPY … TO STDOUT` as a CopyData message of its own, and the driver wakes its event loop
//! for each: more work than all else that is done with a row here. Nothing binds what a message holds to rows, so
//! what has arrived is put together, and a row that is still arriving goes on in parts, so that the largest is never
//! held as a whole. Every other message passes as it is.

use tokio::io::ReadBuf;

/// CopyData, in either direction.
const COPY_DATA: u8 = b'd';
/// A kind and a length, which counts itself.
const HEADER: usize = 5;
/// Bytes read at once; a server sends 8 kB at a time, and they add up while we are busy.
const ROOM: usize = 64 << 10;
/// What is made beside the driver's buffer when that has no room for a message.
const ASIDE: usize = 64;

/// The messages of a server on their way to the driver.
pub(super) struct Merge {
    raw: Box<[u8]>,
    /// What of `raw` has arrived and not gone on.
    from: usize,
    to: usize,
    /// Bytes still to come of the message under way.
    left: usize,
    /// It is CopyData: what is left is rows. Else it is a message as it came, header and all.
    rows: bool,
    aside: Vec<u8>,
    /// CopyData messages that have come, less those that have gone on.
    pub swallowed: i64,
}

impl Merge {
    pub fn new() -> Merge {
        Merge {
            raw: vec![0; ROOM].into_boxed_slice(),
            from: 0,
            to: 0,
            left: 0,
            rows: false,
            aside: Vec::new(),
            swallowed: 0,
        }
    }

    /// Where the next bytes are read to, never empty once [`Merge::pass`] has passed nothing;
    /// [`Merge::arrived`] says how many they were.
    pub fn room(&mut self) -> &mut [u8] {
        self.raw.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        &mut self.raw[self.to..]
    }

    /// Takes bytes that were read into the room.
    pub fn arrived(&mut self, count: usize) {
        self.to += count;
    }

    /// Hands on what it can, and returns whether that was anything.
    pub fn pass(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let before = buffer.filled().len();
        self.pass_aside(buffer);
        while buffer.remaining() > 0 && self.begin_message() {
            if !self.rows {
                self.pass_bytes(buffer);
            } else if buffer.remaining() > HEADER {
                self.pass_rows(buffer);
            } else {
                let mut small = [0; ASIDE];
                let mut small = ReadBuf::new(&mut small);
                self.pass_rows(&mut small);
                self.aside.extend_from_slice(small.filled());
                self.pass_aside(buffer);
            }
        }
        buffer.filled().len() > before
    }

    fn pass_aside(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.aside.len().min(buffer.remaining());
        buffer.put_slice(&self.aside[..count]);
        self.aside.drain(..count);
    }

    /// Returns true if there is something of a message to go on with.
    fn begin_message(&mut self) -> bool {
        loop {
            let raw = &self.raw[self.from..self.to];
            if self.left > 0 {
                return !raw.is_empty();
            }
            let &[kind, a, b, c, d, ..] = raw else {
                return false;
            };
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            self.rows = kind == COPY_DATA && length >= HEADER - 1;
            if !self.rows {
                // A length that cannot be is for the driver to complain of.
                self.left = (length + 1).max(HEADER);
                return true;
            }
            self.from += HEADER;
            self.left = length - (HEADER - 1);
            self.swallowed += 1;
        }
    }

    fn pass_bytes(&mut self, buffer: &mut ReadBuf<'_>) {
        let here = self.to - self.from;
        let count = self.left.min(here).min(buffer.remaining());
        buffer.put_slice(&self.raw[self.from..self.from + count]);
        self.from += count;
        self.left -= count;
    }

    /// Makes one message of all rows, and parts of rows, that are here and fit.
    fn pass_rows(&mut self, buffer: &mut ReadBuf<'_>) {
        let start = buffer.filled().len();
        buffer.put_slice(&[COPY_DATA, 0, 0, 0, 0]);
        loop {
            self.pass_bytes(buffer);
            if buffer.remaining() == 0 || !self.begin_message() || !self.rows {
                break;
            }
        }
        let message = &mut buffer.filled_mut()[start..];
        // No longer than the room, so that it fits.
        let length = (message.len() - 1) as u32;
        message[1..HEADER].copy_from_slice(&length.to_be_bytes());
        self.swallowed -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() + 4) as u32;
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    /// Returns the messages with what neighbours of kind `d` hold put together, and how many of these there were.
    fn read(mut bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, i64) {
        let (mut messages, mut copies) = (Vec::<(u8, Vec<u8>)>::new(), 0);
        while let [kind, a, b, c, d, rest @ ..] = bytes {
            let (body, behind) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4);
            copies += i64::from(*kind == COPY_DATA);
            match messages.last_mut() {
                Some((COPY_DATA, rows)) if *kind == COPY_DATA => rows.extend_from_slice(body),
                _ if *kind == COPY_DATA && body.is_empty() => {}
                _ => messages.push((*kind, body.to_vec())),
            }
            bytes = behind;
        }
        assert!(bytes.is_empty(), "the last message is cut off");
        (messages, copies)
    }

    /// Sends bytes through in pieces: `come` bytes at a time in, and no more than `go` out.
    fn through(bytes: &[u8], come: usize, go: usize) -> (Vec<u8>, i64) {
        let (mut merge, mut out) = (Merge::new(), Vec::new());
        let mut take = |merge: &mut Merge| {
            let mut space = vec![0; go];
            loop {
                let mut buffer = ReadBuf::new(&mut space);
                let passed = merge.pass(&mut buffer);
                assert_eq!(passed, !buffer.filled().is_empty());
                out.extend_from_slice(buffer.filled());
                if !passed {
                    return;
                }
            }
        };
        for piece in bytes.chunks(come) {
            merge.room()[..piece.len()].copy_from_slice(piece);
            merge.arrived(piece.len());
            take(&mut merge);
        }
        (out, merge.swallowed)
    }

    fn conversation() -> Vec<u8> {
        let row = |length: usize| message(b'd', &vec![length as u8; length]);
        [
            message(b'R', &[0; 8]),
            message(b'Z', b"I"),
            message(b'H', &[0; 3]),
            (0..40).flat_map(row).collect(),
            row(700),
            row(1),
            message(b'N', b"a notice in between"),
            row(0),
            row(3),
            message(b'c', b""),
            message(b'C', b"COPY 44\0"),
            message(b'Z', b"I"),
        ]
        .concat()
    }

    #[test]
    fn nothing_is_lost_however_it_is_cut() {
        let sent = conversation();
        let (expected, came) = read(&sent);
        for come in [1, 2, 3, 4, 5, 6, 7, 11, 64, 300, 5000] {
            for go in [1, 2, 4, 5, 6, 7, 13, 100, 8192] {
                let (got, swallowed) = through(&sent, come, go);
                let (messages, went) = read(&got);
                assert!(messages == expected, "{come} bytes in, {go} out");
                assert_eq!(swallowed, came - went, "{come} bytes in, {go} out");
            }
        }
    }

    #[test]
    fn rows_that_have_arrived_become_one_message() {
        let (got, swallowed) = through(&conversation(), 5000, 8192);
        // Before the notice and behind it.
        assert_eq!((read(&got).1, swallowed), (2, 42));
    }

    #[test]
    fn a_length_that_cannot_be_is_handed_on() {
        let sent = [b'd', 0, 0, 0, 1, b'Z', 0, 0, 0, 5, b'I'];
        assert_eq!(through(&sent, 3, 7).0, sent);
    }
}
