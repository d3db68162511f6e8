//! Counts what of a chunk has gone over the wire, and tells progress.

use super::chunks::Chunk;
use super::table::Table;

/// What of a chunk has gone over the wire.
#[derive(Default)]
pub struct Tally {
    weight: u64,
    /// Bytes.
    pub bytes: u64,
    /// Rows since progress was told, and a few messages besides.
    pub rows: u64,
    told: u64,
}

impl Tally {
    /// Adds bytes, with the rows that were counted in the meantime.
    pub fn add(&mut self, table: &Table<'_>, chunk: &Chunk, bytes: u64) {
        // What a chunk weighs on disk is a guess of what it weighs on the wire.
        let step = bytes.min(chunk.weight - self.weight);
        self.weight += step;
        self.bytes += bytes;
        let rows = std::mem::take(&mut self.rows);
        self.told = self.told.wrapping_add(rows);
        table.advance(step, rows, bytes);
    }

    /// Takes an attempt back that came to nothing.
    pub fn take_back(&self, table: &Table<'_>) {
        table.advance(
            self.weight.wrapping_neg(),
            self.told.wrapping_neg(),
            self.bytes.wrapping_neg(),
        );
    }

    /// Sets right at the end what was guessed on the way.
    pub fn settle(&self, table: &Table<'_>, chunk: &Chunk, rows: u64) {
        table.advance(chunk.weight - self.weight, rows.wrapping_sub(self.told), 0);
    }
}
