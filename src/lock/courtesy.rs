//! Reading gives way. A session of ours that reads a table keeps whoever alters it waiting, and every writer
//! behind that one; a chunk of a copy, a large cycle and a comparison read for longer than writers may wait.
//! So a session of its own looks who waits for us, and ends what they wait for; it is begun again later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use postgres::error::SqlState;

use crate::conninfo::Conninfo;
use crate::error::{Error, Result, Side};
use crate::session::Session;

const WAITING: &str = include_str!("courtesy.sql");

/// Between two looks passes this part of the longest that writers may wait. The second look at the same two
/// sessions cancels ours, the fourth ends it: one that is sending rows which nobody takes hears no cancel
/// request.
const LOOKS: u32 = 8;
/// And no less or more than this. Two looks are less than the `deadlock_timeout` (1 s) after which the server
/// would end one of those who wait for each other, and it might not be us.
const PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(200)];

/// How often a piece of reading is begun before it fails for having to give way.
pub const GIVE_WAY: u32 = 20;

/// Before another connection is tried.
const RECONNECT: Duration = Duration::from_secs(1);

/// How long its end is waited for: there may be nobody left to answer it.
const ENDS: Duration = Duration::from_millis(500);

/// Looks for as long as it lives.
pub struct GivingWay {
    ended: Option<Sender<()>>,
    thread: JoinHandle<()>,
}

impl Drop for GivingWay {
    fn drop(&mut self) {
        self.ended.take();
        let began = Instant::now();
        while !self.thread.is_finished() && began.elapsed() < ENDS {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Looks, for as long as the answer lives, whether anybody waits for what a session of ours reads on the side of
/// `main`, and ends that within `longest`. `main` itself is cancelled, and never ended.
///
/// # Errors
/// A thread cannot be started.
pub fn give_way(main: &Session, longest: Duration) -> Result<GivingWay> {
    let like = main.conninfo().clone();
    let (side, main) = (main.side(), main.pid());
    // On the destination nobody but us writes before the flip; after it, all that we still do is to check keys.
    let names = match side {
        Side::Source => r"pg\_switchover: %",
        Side::Destination => r"pg\_switchover: copy keys %",
    };
    let pause = (longest / LOOKS).clamp(PAUSE[0], PAUSE[1]);
    let (sender, ended) = bounded::<()>(0);
    let look_on = move || {
        let mut seen = Seen::new();
        // In a row: a server that is full for one look is not worth a word.
        let mut failed = 0;
        let mut told = false;
        // Opened when it is time for the first look: many a command has ended by then.
        let mut session: Option<Session> = None;
        let mut rest = pause;
        while ended.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
            rest = pause;
            let open = match session.take() {
                Some(open) if !open.is_closed() => Ok(open),
                _ => looker(&like, side),
            };
            let looked = open.and_then(|open| look(session.insert(open), (main, names), &mut seen));
            let Err(error) = looked else {
                failed = 0;
                continue;
            };
            failed += 1;
            if session.is_none() {
                rest = RECONNECT;
            }
            if error.connection_lost || told || failed < 2 {
                log::debug!("{error}");
            } else {
                log::warn!("others may have to wait for what we read: {error}");
                told = true;
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("give way".to_string())
        .spawn(look_on)
        .map_err(|error| Error::failed(format!("could not start a thread: {error}")))?;
    Ok(GivingWay {
        ended: Some(sender),
        thread,
    })
}

/// Opens the session that looks. As the role that has connected: one that a setting of the role has put on may
/// neither see nor cancel our own sessions.
fn looker(like: &Conninfo, side: Side) -> Result<Session> {
    let mut session = Session::open(like, side, "give way")?;
    session.execute("set up a session", "SET ROLE NONE")?;
    Ok(session)
}

/// How many looks in a row have found the same two sessions: ours, and who waits for it.
type Seen = BTreeMap<(i32, i32), u32>;

fn look(session: &mut Session, (main, names): (i32, &str), seen: &mut Seen) -> Result<()> {
    let ours: Vec<i32> = seen.keys().map(|(ours, _)| *ours).collect();
    let waiters: Vec<i32> = seen.keys().map(|(_, waiter)| *waiter).collect();
    let ended: Vec<bool> = seen
        .iter()
        .map(|((ours, _), looks)| *looks >= 3 && *ours != main)
        .collect();
    // All of these are cancelled, if it is still so. Counted before: a program that we run may have ended of it, and be
    // asked about, before the answer is here.
    locked(&MADE).times += seen.len() as u64;
    let rows = session.query(
        "look who waits for us",
        WAITING,
        &[&ours, &waiters, &ended, &names],
    )?;
    let mut now = Seen::new();
    for row in &rows {
        let pair = (row.get(0), row.get(1));
        now.insert(pair, seen.get(&pair).unwrap_or(&0) + 1);
        if row.get(2) {
            locked(&MADE).pids.insert(pair.0);
            log::debug!("our session {} gives way to {}", pair.0, pair.1);
        }
    }
    *seen = now;
    Ok(())
}

/// What has been done so far.
struct Made {
    times: u64,
    pids: BTreeSet<i32>,
}

static MADE: Mutex<Made> = Mutex::new(Made {
    times: 0,
    pids: BTreeSet::new(),
});

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns how often sessions of ours were made to give way so far, or were about to be: a program that we run tells no SQLSTATE.
pub fn times() -> u64 {
    locked(&MADE).times
}

/// Returns true for the errors of a session that has given way: what it did may be begun again. An
/// administrator who cancels or ends it is answered alike.
pub fn gave_way(error: &Error) -> bool {
    [SqlState::QUERY_CANCELED, SqlState::ADMIN_SHUTDOWN]
        .iter()
        .any(|state| error.is(state))
}

/// Makes an error of the session `pid` one of those of [`gave_way`], and of those that may be tried again, if the
/// session was made to give way: its connection may just be gone, without a word.
pub fn after_giving_way(pid: i32, error: Error) -> Error {
    let ended = error.connection_lost && locked(&MADE).pids.contains(&pid);
    if !ended && !error.is(&SqlState::ADMIN_SHUTDOWN) {
        return error;
    }
    Error {
        sqlstate: Some(SqlState::QUERY_CANCELED),
        connection_lost: false,
        ..error
    }
}
