//! The connection service file (libpq manual 34.17): `[name]` and below it `key=value` lines.
//!
//! As in libpq, what a service says stands before the other PG* variables.

use std::path::{Path, PathBuf};

use super::environment::{Surroundings, home};
use super::keyword::{self, Parameters};
use crate::error::{Error, Result};

/// Where packages are built to look when PGSYSCONFDIR is not set: Debian, Red Hat.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];

/// Fills what is missing from the service that the parameters or PGSERVICE name, if they name one.
pub(super) fn fill_from_service(
    parameters: &mut Parameters,
    around: &dyn Surroundings,
) -> Result<()> {
    let named = match parameters.value("service") {
        Some(value) => Some((value.text.clone(), value.origin.clone())),
        None => around
            .variable("PGSERVICE")
            .map(|name| (name, "PGSERVICE".to_string())),
    };
    let Some((service, origin)) = named.filter(|(name, _)| !name.is_empty()) else {
        return Ok(());
    };
    let given = parameters
        .get("servicefile")
        .map(String::from)
        .or_else(|| around.variable("PGSERVICEFILE"))
        .filter(|path| !path.is_empty());
    if let Some(path) = &given
        && !around.exists(Path::new(path))
    {
        return Err(Error::usage(format!(
            "{origin}: service file \"{path}\" does not exist"
        )));
    }
    for path in places(given, around) {
        if let Some(found) = read_service(&path, &service, around)? {
            parameters.fill_from(found);
            return Ok(());
        }
    }
    Err(
        Error::usage(format!("{origin}: service \"{service}\" is not defined"))
            .mend("define it in ~/.pg_service.conf or in the file that PGSERVICEFILE names"),
    )
}

fn places(given: Option<String>, around: &dyn Surroundings) -> Vec<PathBuf> {
    let user = match given {
        Some(path) => Some(PathBuf::from(path)),
        None => home(around).map(|home| home.join(".pg_service.conf")),
    };
    let system = match around.variable("PGSYSCONFDIR") {
        Some(directory) => vec![PathBuf::from(directory)],
        None => SYSTEM_DIRECTORIES.map(PathBuf::from).to_vec(),
    };
    let system = system
        .into_iter()
        .map(|directory| directory.join("pg_service.conf"));
    user.into_iter().chain(system).collect()
}

/// Returns what a file says about a service; None if the file or the service is not there.
fn read_service(
    path: &Path,
    service: &str,
    around: &dyn Surroundings,
) -> Result<Option<Parameters>> {
    let Ok(file) = around.file(path) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&file.content);
    let mut found: Option<Parameters> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            found = (header.strip_suffix(']') == Some(service)).then(Parameters::default);
        } else if let Some(found) = &mut found {
            let place = format!("{}, line {number}", path.display());
            read_line(found, line, &place)?;
        }
    }
    Ok(found)
}

fn read_line(found: &mut Parameters, line: &str, place: &str) -> Result<()> {
    if line.starts_with("ldap") {
        return Err(Error::usage(format!(
            "{place}: services in LDAP are not supported"
        )));
    }
    // No quoting here: what follows "=" is the value.
    let Some((name, value)) = line.split_once('=') else {
        return Err(Error::usage(format!("{place}: \"=\" is missing")));
    };
    match keyword::find(name.trim_end()) {
        Some(keyword) if keyword.name == "service" || keyword.name == "servicefile" => Err(
            Error::usage(format!("{place}: a service cannot name another service")),
        ),
        // The first one wins, as in libpq.
        Some(keyword) => {
            found.fill(keyword, value.trim_start(), place);
            Ok(())
        }
        None => Err(Error::usage(format!(
            "{place}: unknown connection parameter"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::environment::tests::{Fake, fake};
    use super::*;

    const FILE: &str = "# ours\n[other]\nhost=no\n\n[old]\nhost=db.example\nport=5433\nuser=mover\n\
                        options=-c a='b c'\n[later]\nhost=no\n";

    fn filled(text: &str, around: &Fake) -> Result<Parameters> {
        let mut parameters = super::super::parse::parse(text, "--source")?;
        fill_from_service(&mut parameters, around).map(|()| parameters)
    }

    #[test]
    fn a_service_fills_what_is_missing() {
        let around = fake().file("/home/ann/.pg_service.conf", 0o644, FILE);
        let read = filled("service=old port=1", &around).unwrap();
        assert_eq!(read.get("host"), Some("db.example"));
        assert_eq!(read.get("port"), Some("1"));
        assert_eq!(read.get("options"), Some("-c a='b c'"));
        assert_eq!(
            read.value("user").unwrap().origin,
            "/home/ann/.pg_service.conf, line 8"
        );
    }

    #[test]
    fn a_service_is_looked_for_where_the_variables_say() {
        let around = fake()
            .variable("PGSERVICE", "old")
            .variable("PGSERVICEFILE", "/etc/mine.conf")
            .file("/etc/mine.conf", 0o644, "[else]\n")
            .variable("PGSYSCONFDIR", "/opt/etc")
            .file("/opt/etc/pg_service.conf", 0o644, FILE);
        assert_eq!(
            filled("app", &around).unwrap().get("host"),
            Some("db.example")
        );
    }

    #[test]
    fn a_service_that_is_not_defined_is_a_usage_error() {
        let said = filled("service=nix", &fake()).err().unwrap().to_string();
        assert!(
            said.starts_with("--source: service \"nix\" is not defined"),
            "{said}"
        );
        let said = filled("service=nix servicefile=/no", &fake())
            .err()
            .unwrap()
            .to_string();
        assert_eq!(said, "--source: service file \"/no\" does not exist");
    }

    #[test]
    fn a_wrong_line_is_named_by_its_place_alone() {
        for (line, why) in [
            ("hots=secret", "unknown connection parameter"),
            ("secret", "\"=\" is missing"),
            ("service=secret", "a service cannot name another service"),
            ("ldap://secret/x", "services in LDAP are not supported"),
        ] {
            let content = format!("[old]\n{line}\n");
            let around = fake().file("/home/ann/.pg_service.conf", 0o644, &content);
            let said = filled("service=old", &around).err().unwrap().to_string();
            assert_eq!(said, format!("/home/ann/.pg_service.conf, line 2: {why}"));
        }
    }
}
