//! Gathers rows into blocks on their way from one driver to the other.

use std::io::BufRead;

/// Bytes handed to the destination at once: the driver makes a message of what it is given, and a message
/// per row would cost more than the row.
pub const BLOCK: usize = 64 << 10;

/// Gathers what the driver yields piece by piece, rows one by one or many at once (see `conninfo::merge`), until a
/// block is full or the next piece is as large as one itself. Returns true at the end of the stream.
///
/// # Errors
/// As the stream.
pub fn fill(
    reader: &mut impl BufRead,
    block: &mut Vec<u8>,
    rows: &mut u64,
) -> std::io::Result<bool> {
    while block.len() < BLOCK {
        let row = reader.fill_buf()?;
        let length = row.len();
        if length == 0 {
            return Ok(true);
        }
        if length >= BLOCK {
            break;
        }
        block.extend_from_slice(row);
        reader.consume(length);
        *rows += 1;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_filled_and_large_rows_left_to_be_written_directly() {
        let (mut block, mut rows) = (Vec::new(), 0);
        let mut small: &[u8] = b"abc";
        assert!(fill(&mut small, &mut block, &mut rows).expect("no error"));
        assert_eq!((block.as_slice(), rows), (b"abc".as_slice(), 1));

        let large = vec![0; BLOCK];
        let mut reader = large.as_slice();
        assert!(!fill(&mut reader, &mut block, &mut rows).expect("no error"));
        assert_eq!((block.len(), reader.len(), rows), (3, BLOCK, 1));
    }
}
