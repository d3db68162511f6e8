//! Whether the two databases are close enough to ask for the stop-the-world lock. Pure.

use std::time::Duration;

use crate::cycle::Report;

/// What to do after a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Ask for the lock.
    Go,
    /// Run another cycle first.
    Wait(String),
}

/// Decides by the last cycle. The window does what a small cycle does, under the lock: so the last one
/// must have been small, and short beside the time that writers may be held up.
pub fn decide(last: &Report, max_pending: u64, lock_timeout: Duration) -> Decision {
    if last.entries > max_pending {
        return Decision::Wait(format!(
            "the last cycle had {} changes, more than --max-pending {max_pending}",
            last.entries
        ));
    }
    if last.total > lock_timeout / 2 {
        return Decision::Wait(format!(
            "the last cycle took {} ms, more than half of --lock-timeout {} ms",
            last.total.as_millis(),
            lock_timeout.as_millis()
        ));
    }
    Decision::Go
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(entries: u64, total: u64) -> Report {
        Report {
            entries,
            total: Duration::from_millis(total),
            ..Report::default()
        }
    }

    #[test]
    fn the_lock_is_asked_for_only_when_the_window_will_be_short() {
        let decide = |entries, ms| decide(&report(entries, ms), 100, Duration::from_millis(1000));
        assert_eq!(decide(100, 500), Decision::Go);
        assert!(matches!(decide(101, 1), Decision::Wait(_)));
        assert!(matches!(decide(0, 501), Decision::Wait(_)));
    }
}
