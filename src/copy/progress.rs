//! What the operator sees while rows move: bars on a terminal, lines in a log.
//!
//! Work is measured in the tables' bytes on the source's disk, which are known before; rows and bytes
//! on the wire are counted. A table that is small, or one of hundreds, gets no bar of its own.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::chunks::SMALL;
use super::table::Table;
use crate::cli::Progress as When;
use crate::ident::visible;

/// Bars at once, besides the total.
const BARS: usize = 6;

/// Bytes below which a table has no bar: it would be gone before it is seen.
const WORTH_A_BAR: u64 = 4 << 20;

/// With more tables than this, the small ones get no line of their own.
const LINES: usize = 40;

/// Time between two lines that say how far it all is.
const TOTAL_EVERY: Duration = Duration::from_secs(10);

/// Shows how far the copy is.
pub struct Progress {
    began: Instant,
    weight: u64,
    tables: usize,
    finished: usize,
    running: BTreeMap<usize, Running>,
    /// Of the finished tables.
    done: Figures,
    show: Show,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    weight: u64,
    rows: u64,
    bytes: u64,
}

struct Running {
    began: Instant,
    bar: Option<ProgressBar>,
}

enum Show {
    Bars {
        all: MultiProgress,
        total: ProgressBar,
    },
    Lines {
        last: Instant,
    },
}

impl Progress {
    /// Begins; `quiet` leaves nothing but what the log shows anyway.
    pub fn begin(when: When, quiet: bool, tables: &[Table<'_>]) -> Progress {
        let weight = tables.iter().map(|table| table.weight).sum();
        let bars = match when {
            When::Always => true,
            When::Auto => !quiet && std::io::stderr().is_terminal(),
            When::Never => false,
        };
        let show = if bars {
            let all = MultiProgress::new();
            let total = all.add(ProgressBar::new(weight));
            total.set_style(style("{prefix} [{bar:20}] {percent}% {msg}"));
            Show::Bars { all, total }
        } else {
            Show::Lines {
                last: Instant::now(),
            }
        };
        Progress {
            began: Instant::now(),
            weight,
            tables: tables.len(),
            finished: 0,
            running: BTreeMap::new(),
            done: Figures::default(),
            show,
        }
    }

    /// Notes that a table has begun.
    pub fn table_began(&mut self, number: usize, table: &Table<'_>, began: Instant) {
        if self.running.contains_key(&number) {
            return; // It is copied anew.
        }
        let mut bar = None;
        let name = &table.relation.name;
        match &self.show {
            Show::Bars { all, total } => {
                let bars = self
                    .running
                    .values()
                    .filter(|one| one.bar.is_some())
                    .count();
                if bars < BARS && table.weight >= WORTH_A_BAR {
                    let new = all.insert_before(total, ProgressBar::new(table.weight));
                    new.set_style(style("{prefix:30!} [{bar:20}] {msg}"));
                    new.set_prefix(visible(&name.to_string()));
                    bar = Some(new);
                }
            }
            Show::Lines { .. } if table.weight > SMALL => {
                let format = if table.binary { "" } else { ", as text" };
                let chunks = match table.chunks.len() {
                    1 => String::new(),
                    many => format!(" in {many} parts"),
                };
                log::info!(
                    "copying table {name}, {}{chunks}{format}",
                    bytes(table.weight)
                );
            }
            Show::Lines { .. } => {}
        }
        self.running.insert(number, Running { began, bar });
    }

    /// Notes that a table is confirmed.
    pub fn table_finished(&mut self, number: usize, table: &Table<'_>, ended: Instant) {
        let figures = figures(table);
        self.done = self.done.plus(figures);
        self.finished += 1;
        let Some(running) = self.running.remove(&number) else {
            return;
        };
        if let Some(bar) = running.bar {
            bar.finish_and_clear();
        }
        if self.tables > LINES && table.weight < WORTH_A_BAR {
            return;
        }
        let text = format!(
            "copied table {}: {}",
            table.relation.name,
            summary(figures, ended.duration_since(running.began))
        );
        match &self.show {
            Show::Bars { all, .. } => {
                let _ = all.println(text);
            }
            Show::Lines { .. } => log::info!("{text}"),
        }
    }

    /// Shows the state of things; called several times a second.
    pub fn tick(&mut self, tables: &[Table<'_>]) {
        let mut now = self.done;
        for (number, running) in &self.running {
            let figures = figures(&tables[*number]);
            now = now.plus(figures);
            if let Some(bar) = &running.bar {
                bar.set_position(figures.weight);
                bar.set_message(summary(figures, running.began.elapsed()));
            }
        }
        let time = self.began.elapsed();
        let finished = self.finished;
        let counted = format!("{finished} of {} tables", self.tables);
        let left = match left(now.weight, self.weight, time) {
            Some(left) => format!(", about {} left", span(left)),
            None => String::new(),
        };
        match &mut self.show {
            Show::Bars { total, .. } => {
                total.set_prefix(counted);
                total.set_position(now.weight);
                total.set_message(format!("{}{left}", summary(now, time)));
            }
            Show::Lines { last } if last.elapsed() >= TOTAL_EVERY => {
                *last = Instant::now();
                let percent = now.weight.saturating_mul(100) / self.weight.max(1);
                log::info!("{percent}%: {counted}, {}{left}", summary(now, time));
            }
            Show::Lines { .. } => {}
        }
    }

    /// Takes the bars away.
    pub fn end(self) {
        if let Show::Bars { all, total } = &self.show {
            for bar in self.running.values().filter_map(|one| one.bar.as_ref()) {
                bar.finish_and_clear();
            }
            total.finish_and_clear();
            let _ = all.clear();
        }
    }
}

impl Figures {
    fn plus(self, other: Figures) -> Figures {
        Figures {
            weight: self.weight + other.weight,
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
        }
    }
}

fn figures(table: &Table<'_>) -> Figures {
    let (weight, rows, bytes) = table.done();
    Figures {
        weight: weight.min(table.weight),
        rows,
        bytes,
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that cannot be read is a mistake in this file; the plain style still shows a bar.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// `1,234 rows, 5.6 MB in 7.8 s (0.7 MB/s)`; the rate of a moment is left out.
fn summary(figures: Figures, time: Duration) -> String {
    let rate = match time.as_secs_f64() {
        0.0..0.1 => String::new(),
        seconds => format!(" ({}/s)", bytes((figures.bytes as f64 / seconds) as u64)),
    };
    format!(
        "{} rows, {} in {}{rate}",
        grouped(figures.rows),
        bytes(figures.bytes),
        span(time)
    )
}

fn left(done: u64, all: u64, time: Duration) -> Option<Duration> {
    // The first moments say nothing about the rest.
    if done == 0 || done >= all || time < Duration::from_secs(2) {
        return None;
    }
    Some(time.mul_f64((all - done) as f64 / done as f64))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{number} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_read_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(12_345_678_901_234_567), "12345.7 TB");
        assert_eq!(span(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(span(Duration::from_secs(125)), "2 min 05 s");
        assert_eq!(span(Duration::from_secs(7_380)), "2 h 03 min");
    }

    #[test]
    fn the_time_left_follows_from_the_share_that_is_done() {
        let ten = Duration::from_secs(10);
        assert_eq!(left(25, 100, ten), Some(Duration::from_secs(30)));
        assert_eq!(left(0, 100, ten), None);
        assert_eq!(left(100, 100, ten), None);
        assert_eq!(left(5, 100, Duration::from_secs(1)), None);
    }
}
