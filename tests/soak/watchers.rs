//! Those who look on while the tool is at work: at the pointer, and through `status`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::support::pair::Pair;
use crate::support::program::{Outcome, Program};

/// How long `status` may take, whatever happens to servers and network meanwhile.
const STATUS_BOUND: Duration = Duration::from_secs(30);
const STATUS_PAUSE: Duration = Duration::from_millis(700);

/// When the pointer was last seen false, and first true.
#[derive(Clone, Copy)]
pub struct Sights {
    /// The last look that found the source in charge began then.
    pub source: Instant,
    /// The first that found the destination in charge had ended then.
    pub destination: Option<Instant>,
}

/// Looks at the pointer all the time, beside the tool. Dropping it ends that.
pub struct Pointer {
    sights: Arc<Mutex<Sights>>,
    stop: Arc<AtomicBool>,
}

impl Pointer {
    /// Looks straight at the source.
    pub fn start(uri: &str) -> Pointer {
        let sights = Arc::new(Mutex::new(Sights {
            source: Instant::now(),
            destination: None,
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let (uri, shared, stopped) = (uri.to_owned(), Arc::clone(&sights), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut client = None;
            while !stopped.load(Ordering::Relaxed) && shared.lock().unwrap().destination.is_none() {
                let began = Instant::now();
                match look(&mut client, &uri) {
                    Ok(true) => shared.lock().unwrap().destination = Some(Instant::now()),
                    Ok(false) => shared.lock().unwrap().source = began,
                    Err(_) => client = None,
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Pointer { sights, stop }
    }

    /// What has been seen so far.
    pub fn sights(&self) -> Sights {
        *self.sights.lock().unwrap()
    }
}

impl Drop for Pointer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Before `init` has made the pointer, the source is in charge.
fn look(client: &mut Option<Client>, uri: &str) -> Result<bool, postgres::Error> {
    if client.is_none() {
        let mut config: postgres::Config = uri.parse()?;
        config.application_name("pointer");
        *client = Some(config.connect(NoTls)?);
    }
    let client = client.as_mut().expect("it was connected just now");
    let there = "SELECT to_regclass('switchover.state') IS NOT NULL";
    if !client.query_one(there, &[])?.get::<_, bool>(0) {
        return Ok(false);
    }
    let row = client.query_opt("SELECT use_next_db FROM switchover.state", &[])?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// Runs `status --json` again and again, whatever is broken just then.
pub struct Asker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(usize, Vec<String>)>>,
}

impl Asker {
    /// Asks along the wires that the tool uses.
    pub fn start(pair: &Pair) -> Asker {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (source, destination) = (pair.source_uri.clone(), pair.destination_uri.clone());
        let thread = std::thread::spawn(move || {
            let (mut answers, mut complaints, mut switched) = (0, Vec::new(), false);
            while !stopped.load(Ordering::Relaxed) {
                let mut running = Program::new(&["status", "--json"])
                    .source(&source)
                    .destination(&destination)
                    .spawn();
                let began = Instant::now();
                while running.is_running() && began.elapsed() < STATUS_BOUND {
                    std::thread::sleep(Duration::from_millis(5));
                }
                if running.is_running() {
                    complaints.push(format!("status hangs: {}", running.stderr()));
                } else if let Some(complaint) = lie(&running.wait(STATUS_BOUND), &mut switched) {
                    complaints.push(complaint);
                } else {
                    answers += 1;
                }
                std::thread::sleep(STATUS_PAUSE);
            }
            (answers, complaints)
        });
        Asker {
            stop,
            thread: Some(thread),
        }
    }

    /// Stops. Returns how many answers were good, and what was wrong with the others.
    pub fn stop(mut self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("the asker panicked")
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What is wrong with an answer; once the destination was in charge, it stays so.
fn lie(outcome: &Outcome, switched: &mut bool) -> Option<String> {
    // Neither server could be reached.
    if outcome.code() == Some(1) && outcome.stdout.is_empty() {
        return None;
    }
    let json: Option<serde_json::Value> = serde_json::from_str(&outcome.stdout).ok();
    let in_charge = json.as_ref().and_then(|json| json["in_charge"].as_str());
    match (outcome.code(), json.is_some(), in_charge) {
        (Some(0), true, Some("destination")) => {
            *switched = true;
            None
        }
        (Some(0), true, Some("source")) if !*switched => None,
        (Some(0), true, None) => None,
        _ => Some(format!("status, switched {switched}: {}", outcome.report())),
    }
}

/// An application that was sent to the destination too early, and goes on trying to write there.
pub struct Intruder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Intrusions>>,
}

/// What became of its rows in table `somebody`.
#[derive(Default)]
pub struct Intrusions {
    /// How often the guard refused it.
    pub refused: usize,
    /// The ids that were taken, with the times of question and answer.
    pub taken: Vec<(i32, Instant, Instant)>,
    /// What else it was told, which it should not be.
    pub complaints: Vec<String>,
}

impl Intruder {
    /// Its ids begin here.
    pub const FIRST: i32 = 1_000_000;

    /// Goes straight to the destination.
    pub fn start(uri: &str) -> Intruder {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let uri = uri.to_owned();
        let thread = std::thread::spawn(move || {
            let mut client = None;
            let mut found = Intrusions::default();
            let mut copied = false;
            for id in Intruder::FIRST.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                // Rows in a table that `copy` has just made are a reason for it to stop.
                copied = copied || a_cycle_is_there(&mut client, &uri);
                if copied {
                    intrude(&mut client, &uri, id, &mut found);
                }
                std::thread::sleep(Duration::from_millis(120));
            }
            found
        });
        Intruder {
            stop,
            thread: Some(thread),
        }
    }

    /// Stops, and tells.
    pub fn stop(mut self) -> Intrusions {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("the intruder panicked")
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn connected<'a>(client: &'a mut Option<Client>, uri: &str) -> Option<&'a mut Client> {
    if client.as_ref().is_none_or(Client::is_closed) {
        let mut config: postgres::Config = uri.parse().expect("a URI for the intruder");
        config.application_name("intruder");
        *client = config.connect(NoTls).ok();
    }
    client.as_mut()
}

fn a_cycle_is_there(client: &mut Option<Client>, uri: &str) -> bool {
    let there = "SELECT to_regclass('switchover.confirmation') IS NOT NULL";
    let cycle = "SELECT EXISTS (SELECT FROM switchover.confirmation)";
    connected(client, uri).is_some_and(|client| {
        [there, cycle].iter().all(|sql| {
            let row = client.query_one(*sql, &[]);
            row.is_ok_and(|row| row.get(0))
        })
    })
}

fn intrude(client: &mut Option<Client>, uri: &str, id: i32, found: &mut Intrusions) {
    let Some(connected) = connected(client, uri) else {
        return;
    };
    let sent = Instant::now();
    let sql = format!("INSERT INTO public.somebody VALUES ({id}, 'early')");
    let Err(error) = connected.batch_execute(&sql) else {
        found.taken.push((id, sent, Instant::now()));
        return;
    };
    match error.code().map(postgres::error::SqlState::code) {
        Some("25006") => found.refused += 1,
        // There is no table yet, or the server goes down.
        Some("42P01" | "57P01" | "57P02" | "57P03") => {}
        Some("40P01" | "40001") => {}
        Some(_) => found
            .complaints
            .push(format!("the intruder was told {error:?}")),
        None => {}
    }
}
