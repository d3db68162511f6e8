//! The temporary directory of a schema: nobody else can enter it, nor read the files in it, and it goes at the end.
//! One that a kill has left goes with the next that is made.

use std::collections::hash_map::RandomState;
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const PREFIX: &str = "pg_switchover-";
/// Locked for as long as the process lives that made the directory.
const LOCK: &str = "lock";

/// See the head of this module.
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes one in TMPDIR.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn new() -> Result<Directory> {
        let random = RandomState::new().build_hasher().finish();
        let parent = std::env::temp_dir();
        let path = parent.join(format!("{PREFIX}{}-{random:x}", std::process::id()));
        // Fails if somebody made it first, so that nobody else's directory is ever used.
        let made = DirBuilder::new().mode(0o700).create(&path).and_then(|()| {
            // Under its name only when it is locked, or another process might find it free and sweep it.
            let unnamed = path.join("unlocked");
            let lock = private(&unnamed)?;
            lock.lock()?;
            std::fs::rename(&unnamed, path.join(LOCK))?;
            Ok(lock)
        });
        let lock = made.map_err(|error| {
            file_error(&path, &error).mend("set TMPDIR to a directory of yours")
        })?;
        sweep(&parent, &path);
        Ok(Directory { path, _lock: lock })
    }

    /// Returns the path of a file, which is made, empty and unreadable for others, for a program that will
    /// write it.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        private(&path).map_err(|error| file_error(&path, &error))?;
        Ok(path)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        private(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| file_error(&path, &error))?;
        Ok(path)
    }

    /// Returns the path of a file that is there already.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            log::warn!("could not remove {}: {error}", self.path.display());
        }
    }
}

/// Opens a file for writing that only its owner may read.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Removes what processes have left that were killed: directories of the same user whose lock is free. Best
/// effort; what cannot be removed stays, and only its owner can enter it.
fn sweep(parent: &Path, own: &Path) {
    let Ok(owner) = own.symlink_metadata().map(|about| about.uid()) else {
        return;
    };
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let named = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(PREFIX));
        let ours = |about: std::fs::Metadata| about.is_dir() && about.uid() == owner;
        if !named || path == own || !path.symlink_metadata().is_ok_and(ours) {
            continue;
        }
        let lock = OpenOptions::new().write(true).open(path.join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) && std::fs::remove_dir_all(&path).is_ok()
        {
            log::debug!("removed {}, which a killed run has left", path.display());
        }
    }
}

/// Says what could not be done with a file.
pub fn file_error(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!("could not use {}: {error}", path.display()))
}
