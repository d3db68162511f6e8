//! `sync`: cycles, once or for as long as nobody says stop.

use std::time::{Duration, Instant};

use super::prepare::Prepared;
use super::{copy, counted};
use crate::cli::Options;
use crate::cycle::Report;
use crate::error::Result;
use crate::stop::Stop;

/// Between two looks at the schema passes twenty times as long as a look takes, within these.
const LOOK_PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Runs cycles until the destination is up to date, or for ever with `--follow`.
///
/// # Errors
/// As a cycle fails. A signal ends it without one.
pub fn sync(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    let report = prepared.cycle(options, stop)?;
    tell(&report);
    copy::complete(options, prepared, stop)?;
    if !options.follow {
        return Ok(());
    }
    let mut look = Look::begin();
    while stop.sleep(options.interval) {
        if look.due() {
            look.look(options, prepared, stop)?;
        }
        let report = prepared.cycle(options, stop)?;
        if report.entries > 0 {
            tell(&report);
        }
    }
    log::info!("stopped; run sync again to go on");
    Ok(())
}

/// Looks at the schema every so often: a table that has drifted while none of its rows changed is met by
/// no cycle.
struct Look {
    next: Instant,
    /// What the last look had to say.
    said: String,
}

impl Look {
    fn begin() -> Look {
        Look {
            next: Instant::now() + LOOK_PAUSE[0],
            said: String::new(),
        }
    }

    fn due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Follows what can be followed. The rest is said once, and ends the run only when a cycle meets it.
    fn look(&mut self, options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
        let started = Instant::now();
        let result = prepared.look_again(options, stop);
        self.next = Instant::now() + (started.elapsed() * 20).clamp(LOOK_PAUSE[0], LOOK_PAUSE[1]);
        let said = match result.and_then(|(_, drift)| drift) {
            // The loop ends by itself.
            Err(_) if stop.asked() => return Ok(()),
            Err(error) if error.connection_lost => return Err(error),
            Err(error) => error.to_string(),
            Ok(()) => String::new(),
        };
        if said != self.said && !said.is_empty() {
            log::warn!("{said}");
        }
        self.said = said;
        Ok(())
    }
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
