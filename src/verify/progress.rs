//! How far a comparison is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Progress;

/// How often a line is written.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counts rows while they are compared.
pub struct Meter {
    bar: Option<ProgressBar>,
    expected: u64,
    rows: [u64; 2],
    begun: Instant,
    told: Instant,
}

impl Meter {
    /// Begins with the planner's estimate of all rows.
    pub fn begin(progress: Progress, expected: f64) -> Meter {
        let expected = expected.max(0.0) as u64;
        let shown = match progress {
            Progress::Always => true,
            Progress::Auto => {
                log::log_enabled!(log::Level::Info) && std::io::stderr().is_terminal()
            }
            Progress::Never => false,
        };
        let bar = shown.then(|| {
            let template = "{prefix} [{wide_bar}] {human_pos} of about {human_len} rows, {per_sec}, \
                            about {eta} left";
            // A template that cannot be read is a mistake here; the plain style still shows a bar.
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(expected)
                .with_style(style.progress_chars("=> "))
                .with_prefix("comparing")
        });
        Meter {
            bar,
            expected,
            rows: [0; 2],
            begun: Instant::now(),
            told: Instant::now(),
        }
    }

    /// Adds rows that one side has read.
    pub fn add(&mut self, side: usize, rows: u64) {
        self.rows[side] += rows;
        // A row counts when the slower side has read it too.
        let compared = self.rows[0].min(self.rows[1]);
        if let Some(bar) = &self.bar {
            bar.set_length(self.expected.max(self.rows[0]));
            bar.set_position(compared);
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            log::info!("{}", line(compared, self.expected, self.begun.elapsed()));
        }
    }

    /// Takes the bar away.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(rows: u64, expected: u64, time: Duration) -> String {
    let rate = rows as f64 / time.as_secs_f64().max(0.001);
    let left = if rows == 0 {
        String::new()
    } else {
        let seconds = expected.saturating_sub(rows) as f64 / rate;
        format!(", about {seconds:.0} s left")
    };
    format!("compared {rows} of about {expected} rows, {rate:.0} rows/s{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_rate_and_time_left() {
        assert_eq!(
            line(1000, 3000, Duration::from_secs(10)),
            "compared 1000 of about 3000 rows, 100 rows/s, about 20 s left"
        );
        assert_eq!(
            line(0, 3000, Duration::from_secs(10)),
            "compared 0 of about 3000 rows, 0 rows/s"
        );
    }
}
