//! `sync`: cycles, once or for as long as nobody says stop.

use std::time::Duration;

use super::open::Prepared;
use super::{copy, counted};
use crate::cli::Options;
use crate::cycle::Report;
use crate::error::Result;
use crate::stop::Stop;

/// Runs cycles until the destination is up to date, or for ever with `--follow`.
///
/// # Errors
/// As a cycle fails. A signal ends it without one.
pub fn sync(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    let report = prepared.cycles.run(stop)?;
    tell(&report);
    copy::complete(options, prepared, stop)?;
    let cycles = &mut prepared.cycles;
    if !options.follow {
        return Ok(());
    }
    while stop.sleep(options.interval) {
        if cycles.reader.anything_pending()? {
            tell(&cycles.run(stop)?);
        }
    }
    log::info!("stopped; run sync again to go on");
    Ok(())
}

/// Says what a cycle did.
pub fn tell(report: &Report) {
    if report.entries == 0 {
        log::info!("nothing has changed since cycle {}", report.cycle);
        return;
    }
    log::info!(
        "cycle {}: {} in {}, {} written, {} (read {}, apply {})",
        report.cycle,
        counted(report.entries as usize, "change"),
        counted(report.tables as usize, "table"),
        counted(report.applied.rows as usize, "row"),
        ms(report.total),
        ms(report.read),
        ms(report.apply),
    );
}

/// Prints a duration as milliseconds.
pub fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
