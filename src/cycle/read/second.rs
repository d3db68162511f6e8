//! A session in a thread of its own, which is there before anything is asked of it and stays until the end: what a busy
//! machine takes to begin and to end a thread is nothing that writers should wait for.

use std::sync::mpsc;

use postgres::SimpleQueryRow;

use crate::error::{Error, Result};
use crate::session::Session;

type Answer = Result<Vec<SimpleQueryRow>>;

/// What the session is to do.
struct Message {
    what: &'static str,
    sql: String,
    /// Hears when the message is about to be sent.
    begins: Option<mpsc::Sender<()>>,
}

/// The session, which ends soon after this. Every message has one answer, which is to be waited for.
pub struct Second {
    messages: mpsc::Sender<Message>,
    answers: mpsc::Receiver<Answer>,
}

impl Second {
    /// Puts the session to work.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn new(mut session: Session) -> Result<Second> {
        let (messages, heard) = mpsc::channel::<Message>();
        let (said, answers) = mpsc::channel();
        let work = move || {
            for message in heard {
                if let Some(begins) = message.begins {
                    let _ = begins.send(());
                }
                let answer = session.transaction_rows(message.what, &message.sql);
                if said.send(answer).is_err() {
                    return;
                }
            }
        };
        match std::thread::Builder::new().spawn(work) {
            Ok(_) => Ok(Second { messages, answers }),
            Err(error) => Err(Error::failed(format!("cannot begin a thread: {error}"))),
        }
    }

    /// Has it run the statements of one message.
    pub fn say(&self, what: &'static str, sql: String) {
        self.send(what, sql, None);
    }

    /// As [`Second::say`], and comes back when the thread is about to send the message.
    pub fn say_ahead(&self, what: &'static str, sql: String) {
        let (begins, begun) = mpsc::channel();
        self.send(what, sql, Some(begins));
        let _ = begun.recv();
    }

    fn send(&self, what: &'static str, sql: String, begins: Option<mpsc::Sender<()>>) {
        // If nobody hears it, nobody answers.
        let _ = self.messages.send(Message { what, sql, begins });
    }

    /// Waits for what a message returned.
    ///
    /// # Errors
    /// As the server says; the transaction is over then.
    pub fn answer(&self) -> Answer {
        let gone = || Err(Error::failed("a thread has failed"));
        self.answers.recv().unwrap_or_else(|_| gone())
    }

    /// Runs the statements of one message, and returns all their rows as text.
    ///
    /// # Errors
    /// As [`Second::answer`].
    pub fn ask(&self, what: &'static str, sql: String) -> Answer {
        self.say(what, sql);
        self.answer()
    }
}
