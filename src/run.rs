//! The verbs, each a list of steps.

use crate::cli::Options;
use crate::error::{Error, Result};

/// Does what the command line asks for.
pub fn run(options: Options) -> Result<()> {
    Err(Error::failed(format!(
        "{} is not built yet",
        options.command
    )))
}
