//! Stand-in until the real one lands.
use crate::error::{Error, Result, Side};
use postgres::{CancelToken, Client, NoTls};
#[derive(Debug, Clone)]
pub struct Conninfo(String);
impl Conninfo {
    pub fn resolve(side: Side, option: Option<&str>) -> Result<Conninfo> {
        let name = match side {
            Side::Source => "PG_SWITCHOVER_SOURCE",
            Side::Destination => "PG_SWITCHOVER_DEST",
        };
        match option
            .map(ToString::to_string)
            .or_else(|| std::env::var(name).ok())
        {
            Some(text) => Ok(Conninfo(text)),
            None => Err(Error::usage(format!("no {side}"))),
        }
    }
    pub fn connect(&self, side: Side, application_name: &str) -> Result<Client> {
        let mut config: postgres::Config =
            self.0.parse().map_err(|_| Error::usage("bad conninfo"))?;
        config.application_name(application_name);
        config
            .connect(NoTls)
            .map_err(|e| Error::from_postgres(side, "connect", &e))
    }
    pub fn cancel(&self, token: &CancelToken) -> Result<()> {
        token
            .cancel_query(NoTls)
            .map_err(|e| Error::failed(e.to_string()))
    }
    pub fn location(&self) -> String {
        "new".into()
    }
    pub fn prepare_command(&self, command: &mut std::process::Command, application_name: &str) {
        command.env("PGAPPNAME", application_name);
        command.arg(format!("--dbname={}", self.0));
    }
    pub fn describe(&self) -> String {
        self.0.clone()
    }
}
