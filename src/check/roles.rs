//! Roles of the source that creating its schema on the destination takes.

use std::collections::{BTreeMap, HashMap};

use super::report::named;
use super::{CheckOptions, Finding, Looked};
use crate::error::{Result, Side};
use crate::ident::ident;
use crate::session::Session;

/// What a role is needed for when the schema is created.
#[derive(Debug, Clone, Copy, Default)]
struct Need {
    owner: bool,
    grantee: bool,
    policy: bool,
}

/// Owners, grantees and roles that policies name, which `pg_restore` expects to exist.
pub(super) fn compare(
    source: &mut Looked,
    destination: &mut Looked,
    options: &CheckOptions,
    findings: &mut Vec<Finding>,
) {
    let Some(catalog) = &source.catalog else {
        return;
    };
    let owners: Vec<String> = catalog
        .relations
        .iter()
        .map(|relation| relation.owner.clone())
        .collect();
    let Some(mut needs) = source.ask(findings, roles) else {
        return;
    };
    for owner in owners {
        needs.entry(owner).or_default().owner = true;
    }
    for need in needs.values_mut() {
        need.owner &= !options.no_owner;
        need.grantee &= !options.no_privileges;
    }
    needs.retain(|_, need| need.owner || need.grantee || need.policy);
    let names: Vec<String> = needs.keys().cloned().collect();
    let Some(there) = destination.ask(findings, |session| role_names(session, &names)) else {
        return;
    };
    let role = super::privileges::role_name(destination, findings).unwrap_or_default();
    findings.extend(missing_roles(&needs, &there));
    findings.extend(barred_roles(&needs, &there, &role));
    if !options.no_owner {
        owners_in_schemas(source, destination, findings);
    }
}

/// Returns the roles of the source by name, with what each is needed for.
fn roles(session: &mut Session) -> Result<BTreeMap<String, Need>> {
    let sql = include_str!("sql/roles.sql");
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    for row in session.query("list the roles", sql, &[])? {
        let need = needs.entry(row.get(0)).or_default();
        match row.get(1) {
            "o" => need.owner = true,
            "a" => need.grantee = true,
            _ => need.policy = true,
        }
    }
    Ok(needs)
}

/// Returns those of the roles that exist, with true for those that we may give objects to.
fn role_names(session: &mut Session, names: &[String]) -> Result<HashMap<String, bool>> {
    let sql = include_str!("sql/role_names.sql");
    let rows = session.query("list the roles", sql, &[&names])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn missing_roles(needs: &BTreeMap<String, Need>, there: &HashMap<String, bool>) -> Option<Finding> {
    let missing: Vec<(&String, &Need)> = needs
        .iter()
        .filter(|(role, _)| !there.contains_key(*role))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let names: Vec<String> = missing.iter().map(|(role, _)| ident(role)).collect();
    let mut mend = "CREATE ROLE … there (pg_dumpall --roles-only prints them)".to_string();
    if missing.iter().all(|(_, need)| !need.policy) {
        let any = |part: fn(&Need) -> bool| missing.iter().any(|(_, need)| part(need));
        mend.push_str(match (any(|need| need.owner), any(|need| need.grantee)) {
            (true, true) => ", or add --no-owner and --no-privileges",
            (true, false) => ", or add --no-owner",
            (false, _) => ", or add --no-privileges",
        });
    }
    Some(Finding::stops(
        Side::Destination,
        format!(
            "{} of the source {} missing on the destination",
            named("role", &names),
            if names.len() == 1 { "is" } else { "are" }
        ),
        mend,
    ))
}

fn barred_roles(
    needs: &BTreeMap<String, Need>,
    there: &HashMap<String, bool>,
    our_role: &str,
) -> Option<Finding> {
    let barred: Vec<String> = needs
        .iter()
        .filter(|(role, need)| need.owner && there.get(*role) == Some(&false))
        .map(|(role, _)| ident(role))
        .collect();
    (!barred.is_empty()).then(|| {
        Finding::stops(
            Side::Destination,
            format!(
                "our role on the destination may not give objects to {}",
                named("role", &barred)
            ),
            format!(
                "add --no-owner, or GRANT {} TO {our_role} there",
                barred.join(", ")
            ),
        )
    })
}

/// Only superusers may give an object to a role that could not have created it where it is.
fn owners_in_schemas(source: &mut Looked, destination: &mut Looked, findings: &mut Vec<Finding>) {
    let owners = source.ask(findings, |session| {
        let sql = include_str!("sql/owners_in_schemas.sql");
        session.query("list the owners of objects", sql, &[])
    });
    destination.find(findings, |session| {
        let sql = include_str!("sql/may_own.sql");
        let mut found = Vec::new();
        for row in owners.iter().flatten() {
            let [schema, schema_owner, owner] = [0, 1, 2].map(|at| row.get::<_, String>(at));
            let asked = session.query_one("read privileges", sql, &[&schema, &schema_owner, &owner])?;
            if asked.get::<_, Option<bool>>(0) != Some(false) {
                continue;
            }
            let (schema, owner) = (ident(&schema), ident(&owner));
            found.push(Finding::stops(
                Side::Destination,
                format!(
                    "role {owner} owns objects in schema {schema} and may not create any there on the destination, so that only a superuser could give them to it"
                ),
                match schema.as_str() {
                    "\"public\"" => format!("GRANT CREATE ON SCHEMA public TO {owner} there, or add --no-owner"),
                    _ => "add --no-owner, or connect there as a superuser".to_string(),
                },
            ));
        }
        Ok(found)
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_role_must_exist_and_an_owner_be_ours_to_give_to() {
        let need = |owner, grantee, policy| Need {
            owner,
            grantee,
            policy,
        };
        let mut needs = BTreeMap::from([
            ("a".to_string(), need(true, false, false)),
            ("b".to_string(), need(false, true, false)),
            ("c".to_string(), need(true, false, false)),
        ]);
        let there = HashMap::from([("a".to_string(), false), ("b".to_string(), false)]);
        let found = missing_roles(&needs, &there).unwrap();
        assert!(
            found
                .message
                .starts_with("role \"c\" of the source is missing")
        );
        assert!(found.mend.ends_with("or add --no-owner"));
        let found = barred_roles(&needs, &there, "\"r\"").unwrap();
        assert!(found.message.ends_with("to role \"a\""));
        needs.insert("p".to_string(), need(false, false, true));
        let found = missing_roles(&needs, &there).unwrap();
        assert!(!found.mend.contains("--no-"));
    }
}
