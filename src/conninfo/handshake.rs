//! Begins TLS sessions. What makes them reads all authorities of the operating system, which takes 40 ms: it is made
//! when a server wants to begin one, not before.

use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};

use postgres::Socket;
use postgres::tls::MakeTlsConnect;
use postgres_openssl::{MakeTlsConnector, TlsConnector};

use super::tls::{Complaint, TlsSettings};

/// Whose certificates are believed, and which one is shown; shared by all connections.
#[derive(Clone)]
pub(super) struct Sessions {
    settings: TlsSettings,
    made: Arc<OnceLock<MakeTlsConnector>>,
}

impl Sessions {
    /// Looks at the files that are named, so that what is wrong with them is known before anything is sent.
    pub fn new(settings: &TlsSettings) -> Result<Sessions, Complaint> {
        settings.check()?;
        Ok(Sessions {
            settings: settings.clone(),
            made: Arc::default(),
        })
    }

    /// Begins a session with a host.
    pub fn begin(&self, host: &str) -> Result<TlsConnector, Box<dyn StdError + Send + Sync>> {
        let mut connector = match self.made.get() {
            Some(made) => made.clone(),
            None => {
                let made = self.settings.connector();
                let made = made.map_err(|complaint| complaint.message)?;
                self.made.get_or_init(|| made).clone()
            }
        };
        Ok(MakeTlsConnect::<Socket>::make_tls_connect(
            &mut connector,
            host,
        )?)
    }
}
