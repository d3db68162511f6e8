//! Whether a call is still worth waiting for. Pure.

use std::time::Duration;

use crate::error::{GivenUp, Side};

/// Waits that end by themselves as a rule, or that we cannot see into, may last so many times as long.
const LONGER: u32 = 10;

/// What a look at the server has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The server process works; what it waits for itself, if anything.
    Works(String),
    /// It waits for us.
    WaitsForUs,
    /// There is no such server process.
    Gone,
    /// The server did not answer at all; what happened.
    NoAnswer(String),
    /// The server answered, but not this; what it said.
    CannotTell(String),
    /// A program that we have started does nothing there.
    Idle,
    /// It waits for a lock; who holds it.
    Locked(String),
    /// Its commit waits for a synchronous standby; true if any standby is connected.
    Standby(bool),
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Without any sign of life.
    pub patience: Duration,
    /// For a synchronous standby, where it is less than that.
    pub standby: Option<Duration>,
}

/// What several looks in a row can have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Works,
    Lost,
    CannotTell,
    Idle,
    Locked,
    Standby,
}

/// A call that waits, and how long nothing has moved.
#[derive(Debug, Clone)]
pub struct Case {
    silent: Duration,
    next_look: Duration,
    next_word: Duration,
    kind: Kind,
    since: Duration,
}

impl Case {
    /// Begins with a call.
    pub fn new(limits: Limits) -> Case {
        let first = limits.patience / 8;
        Case {
            silent: Duration::ZERO,
            next_look: limits.standby.map_or(first, |limit| first.min(limit / 2)),
            next_word: limits.patience,
            kind: Kind::Works,
            since: Duration::ZERO,
        }
    }

    /// Lets time pass in which nothing moved.
    pub fn pass(&mut self, time: Duration) {
        self.silent += time;
        self.since += time;
    }

    /// Returns how long nothing has moved.
    pub fn silent(&self) -> Duration {
        self.silent
    }

    /// Returns true when it is time for a look.
    pub fn is_due(&self) -> bool {
        self.silent >= self.next_look
    }

    /// Returns true when the operator should know that we wait; every time at twice the interval, up to
    /// ten minutes.
    pub fn is_to_be_told(&mut self) -> bool {
        const LONGEST: Duration = Duration::from_secs(600);
        let due = self.silent >= self.next_word;
        if due {
            self.next_word = self.silent + self.silent.min(LONGEST);
        }
        due
    }

    /// Decides after a look. What has just been seen may be over already, its answer on the way to us:
    /// nothing is given up before the same has been seen for some time.
    pub fn judge(&mut self, seen: &Seen, side: Side, limits: Limits) -> Option<GivenUp> {
        let kind = seen.kind();
        if kind != self.kind {
            self.kind = kind;
            self.since = Duration::ZERO;
        }
        let patience = limits.patience;
        let limit = match seen {
            Seen::Works(_) => None,
            Seen::WaitsForUs | Seen::Gone | Seen::NoAnswer(_) => Some(patience / 2),
            Seen::CannotTell(_) | Seen::Idle | Seen::Locked(_) => Some(patience * LONGER),
            Seen::Standby(connected) => {
                let usual = if *connected { LONGER } else { 1 };
                Some(limits.standby.unwrap_or(patience * usual))
            }
        };
        let pause = limit.map_or(patience, |limit| (limit / 4).min(patience));
        self.next_look = self.silent + self.silent.min(pause);
        let over = limit.is_some_and(|limit| self.since >= limit);
        let silent_enough = kind != Kind::Lost || self.silent >= patience;
        (over && silent_enough).then(|| self.verdict(seen, side))
    }

    fn verdict(&self, seen: &Seen, side: Side) -> GivenUp {
        let silent = seconds(self.silent);
        let message = match seen {
            Seen::Works(_) | Seen::WaitsForUs => format!(
                "no answer for {silent}, and its server process waits for us: a message was lost in the network"
            ),
            Seen::Gone => format!("no answer for {silent}, and its server process is gone"),
            Seen::NoAnswer(why) => format!("no answer for {silent}, and {why}"),
            Seen::CannotTell(why) => {
                format!("no answer for {silent}, and it cannot be seen why: {why}")
            }
            Seen::Idle => format!("pg_dump or pg_restore has done nothing there for {silent}"),
            Seen::Locked(by) => format!("it has waited {silent} for a lock held by {by}"),
            Seen::Standby(_) => {
                format!("its commit has waited {silent} for a synchronous standby")
            }
        };
        let mend = match seen {
            Seen::Standby(_) => format!(
                "bring back what synchronous_standby_names asks for on the {side}, or change that there; then run the same command again"
            ),
            Seen::Locked(_) => "end that session, or run the same command again later".to_string(),
            _ => format!("run the same command again when the {side} answers"),
        };
        GivenUp { message, mend }
    }
}

impl Seen {
    fn kind(&self) -> Kind {
        match self {
            Seen::Works(_) => Kind::Works,
            Seen::WaitsForUs | Seen::Gone | Seen::NoAnswer(_) => Kind::Lost,
            Seen::CannotTell(_) => Kind::CannotTell,
            Seen::Idle => Kind::Idle,
            Seen::Locked(_) => Kind::Locked,
            Seen::Standby(_) => Kind::Standby,
        }
    }

    /// Says what is waited for, for a message.
    pub fn describe(&self) -> String {
        match self {
            Seen::Works(waits) if waits.is_empty() => "it is at work".to_string(),
            Seen::Works(waits) => format!("it is at work ({waits})"),
            Seen::WaitsForUs => "its server process waits for us".to_string(),
            Seen::Gone => "its server process is gone".to_string(),
            Seen::NoAnswer(why) => why.clone(),
            Seen::CannotTell(why) => format!("it cannot be seen why: {why}"),
            Seen::Idle => "it does nothing there".to_string(),
            Seen::Locked(by) => format!("it waits for a lock held by {by}"),
            Seen::Standby(_) => {
                "its commit waits for a synchronous standby (synchronous_standby_names)".to_string()
            }
        }
    }
}

/// Prints a time in seconds, with tenths while it is short.
pub fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short if short < 10.0 => format!("{short:.1} s"),
        long => format!("{long:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        patience: Duration::from_secs(30),
        standby: None,
    };

    /// Looks every second at the same; returns the second at which the call is given up.
    fn given_up(seen: &Seen, limits: Limits) -> Option<u64> {
        let mut case = Case::new(limits);
        (1..=2000).find(|_| {
            case.pass(Duration::from_secs(1));
            case.is_due() && case.judge(seen, Side::Source, limits).is_some()
        })
    }

    #[test]
    fn a_server_that_works_is_waited_for() {
        assert_eq!(given_up(&Seen::Works(String::new()), LIMITS), None);
    }

    #[test]
    fn what_is_lost_is_given_up_at_the_bound_and_other_waits_have_bounds_too() {
        let within = |seen: Seen, least: u64, most: u64| {
            let at = given_up(&seen, LIMITS).expect("given up");
            assert!((least..=most).contains(&at), "{seen:?} at {at} s");
        };
        within(Seen::WaitsForUs, 30, 38);
        within(Seen::Gone, 30, 38);
        within(Seen::NoAnswer(String::new()), 30, 38);
        within(Seen::Standby(false), 30, 45);
        within(Seen::Standby(true), 300, 350);
        within(Seen::Locked("pid 1".to_string()), 300, 350);
        within(Seen::CannotTell(String::new()), 300, 350);
        within(Seen::Idle, 300, 350);
        let hurried = Limits {
            standby: Some(Duration::from_secs(4)),
            ..LIMITS
        };
        let at = given_up(&Seen::Standby(true), hurried).expect("given up");
        assert!((4..=9).contains(&at), "at {at} s");
    }

    #[test]
    fn an_answer_that_is_on_its_way_is_waited_for() {
        let mut case = Case::new(LIMITS);
        case.pass(Duration::from_secs(100));
        assert!(
            case.judge(&Seen::WaitsForUs, Side::Source, LIMITS)
                .is_none()
        );
        // A look at work in between begins anew.
        case.pass(Duration::from_secs(14));
        assert!(
            case.judge(&Seen::Works(String::new()), Side::Source, LIMITS)
                .is_none()
        );
        case.pass(Duration::from_secs(14));
        assert!(case.judge(&Seen::Gone, Side::Source, LIMITS).is_none());
        case.pass(Duration::from_secs(15));
        assert!(case.judge(&Seen::Gone, Side::Source, LIMITS).is_some());
    }

    #[test]
    fn the_operator_hears_of_it_at_growing_intervals() {
        let mut case = Case::new(LIMITS);
        let told: Vec<u64> = (1..=300)
            .filter(|_| {
                case.pass(Duration::from_secs(1));
                case.is_to_be_told()
            })
            .collect();
        assert_eq!(told, [30, 60, 120, 240]);
    }
}
