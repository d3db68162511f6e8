//! What the workers take their work from. One that finds nothing waits as long as another is at work: a table that
//! becomes whole brings more.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::chunks::Chunk;
use super::crew::lock;
use super::indexes::Make;

/// How often a worker that waits looks whether the job is over.
const TICK: Duration = Duration::from_millis(100);

/// A piece of work.
pub enum Job {
    /// Rows.
    Chunk(Chunk),
    /// Indexes or constraints.
    Make(Make),
}

/// See the head of this module.
pub struct Queue {
    workers: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    at_work: usize,
}

impl Queue {
    /// A queue that begins with these, for so many workers, whether there is work for all of them or not.
    pub fn new(jobs: VecDeque<Job>, workers: usize) -> Queue {
        Queue {
            workers,
            state: Mutex::new(State { jobs, at_work: 0 }),
            changed: Condvar::new(),
        }
    }

    /// Takes the next piece of work, for which [`Queue::done`] is called when it is done; `None` when there will be
    /// no more, or once it is over.
    pub fn take(&self, over: impl Fn() -> bool) -> Option<Job> {
        let mut state = lock(&self.state);
        while !over() {
            if let Some(job) = state.jobs.pop_front() {
                state.at_work += 1;
                return Some(job);
            }
            if state.at_work == 0 {
                return None;
            }
            let waited = self.changed.wait_timeout(state, TICK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    /// Returns how many workers have nothing to do.
    pub fn idle(&self) -> usize {
        let state = lock(&self.state);
        self.workers
            .saturating_sub(state.at_work + state.jobs.len())
    }

    /// A piece of work is done; what follows from it comes first.
    pub fn done(&self, followed_by: Vec<Job>) {
        let mut state = lock(&self.state);
        state.at_work -= 1;
        for job in followed_by.into_iter().rev() {
            state.jobs.push_front(job);
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(list: &str) -> Job {
        Job::Make(Make::new(list.to_string(), Vec::new()))
    }

    #[test]
    fn who_finds_nothing_waits_for_what_follows_from_the_work_of_others() {
        let queue = Queue::new([job("first")].into(), 2);
        let first = queue.take(|| false);
        assert!(first.is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.take(|| false).is_some());
            queue.done(vec![job("second")]);
            assert!(waiting.join().expect("no panic"), "it got the second");
        });
        queue.done(Vec::new());
        assert!(queue.take(|| false).is_none(), "nobody is at work");
    }

    #[test]
    fn idle_are_those_for_whom_there_is_no_work() {
        let queue = Queue::new([job("first"), job("second")].into(), 3);
        assert_eq!(queue.idle(), 1);
        let _at_work = queue.take(|| false);
        assert_eq!(queue.idle(), 1);
        queue.done(vec![job("third"), job("fourth")]);
        assert_eq!(queue.idle(), 0);
    }

    #[test]
    fn nobody_waits_once_it_is_over() {
        let queue = Queue::new([job("first")].into(), 2);
        let _at_work = queue.take(|| false);
        assert!(queue.take(|| true).is_none());
    }
}
