//! What the operator reads: results on standard output, messages on standard error, each a line
//! that begins with the program's name. A reader that goes away (`| head -1`) is no failure.

use std::io::{self, Write};

use env_logger::Builder;
use log::{Level, LevelFilter, Record};

use crate::error::{Error, Result};
use crate::ident::visible;

const NAME: &str = "pg_switchover";

/// Begins to write log messages to standard error. RUST_LOG chooses among all of them; `--quiet`
/// and `--verbose` prevail over it for the tool's own.
pub fn begin(quiet: bool, verbose: u8) {
    let mut builder = Builder::new();
    builder.format(|out, record| writeln!(out, "{}", line(record)));
    match std::env::var("RUST_LOG") {
        Ok(filters) if !filters.is_empty() => builder.parse_filters(&filters),
        // The driver's own debug messages show statements, and with them values of rows: -v does
        // not bring them.
        _ => builder
            .filter_level(LevelFilter::Warn)
            .filter_module(NAME, LevelFilter::Info),
    };
    match (quiet, verbose) {
        (true, _) => builder.filter_module(NAME, LevelFilter::Warn),
        (false, 0) => &mut builder,
        (false, 1) => builder.filter_module(NAME, LevelFilter::Debug),
        (false, _) => builder.filter_module(NAME, LevelFilter::Trace),
    };
    // Fails only if messages are written already.
    let _ = builder.try_init();
}

fn line(record: &Record<'_>) -> String {
    let said = visible(&record.args().to_string());
    match record.level() {
        Level::Info => format!("{NAME}: {said}"),
        Level::Warn => format!("{NAME}: warning: {said}"),
        level => format!("{NAME}: {}: {said}", level.as_str().to_lowercase()),
    }
}

/// Writes an error to standard error, whatever the log filters say.
pub fn error(error: &Error) {
    line_to_stderr(&format!("error: {error}"));
}

/// Writes a line to standard error, whatever the log filters say.
pub fn line_to_stderr(text: &str) {
    // Where standard error is closed, the exit status has to do.
    let _ = writeln!(io::stderr(), "{NAME}: {}", visible(text));
}

/// Writes a result to standard output.
///
/// # Errors
/// When the text cannot be written, unless it is because nobody reads it any more.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::failed(format!(
            "could not write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_begins_with_the_name() {
        let told = |level| {
            line(
                &Record::builder()
                    .level(level)
                    .args(format_args!("x"))
                    .build(),
            )
        };
        assert_eq!(told(Level::Error), "pg_switchover: error: x");
        assert_eq!(told(Level::Warn), "pg_switchover: warning: x");
        assert_eq!(told(Level::Info), "pg_switchover: x");
        assert_eq!(told(Level::Debug), "pg_switchover: debug: x");
    }
}
