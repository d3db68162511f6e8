//! Reads and filters what pg_dump and pg_restore write: the table of contents of an archive, and the
//! SQL of its first section. Pure.

use std::collections::BTreeSet;

use crate::capture;

/// An option of a column that one vendor's pg_dump prints and that no server lets be set.
const FOREIGN_OPTION: &str = "pg_attver";

/// Decides which entries of an archive are restored.
#[derive(Debug, Default)]
pub struct Filter {
    /// What exists on the destination already, as `KIND schema tag`.
    pub existing: BTreeSet<String>,
    /// What belongs to an object that is created later, in the same form.
    pub postponed: BTreeSet<String>,
    /// Which step of the last section it is.
    pub step: Step,
}

/// The indexes of partitions are attached to those of their parents in a step of its own, one by one:
/// a parent's index becomes valid with the attachment of its last valid part, and of two that are
/// attached at once neither sees the other.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything but attachments; may run in parallel.
    #[default]
    Create,
    /// Attachments only.
    Attach,
}

impl Filter {
    /// Returns the list for `pg_restore -L`: the lines of `pg_restore -l` that are wanted, in order.
    pub fn apply(&self, list: &str) -> String {
        list.lines()
            .filter(|line| entry(line).is_some_and(|entry| self.wants(entry)))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    fn wants(&self, entry: &str) -> bool {
        let step = match entry.starts_with("INDEX ATTACH ") {
            true => Step::Attach,
            false => Step::Create,
        };
        !(step != self.step
            || is_unwanted(entry)
            || starts_with_one_of(entry, &self.existing)
            || starts_with_one_of(entry, &self.postponed))
    }
}

/// Returns kind, schema, tag and owner of a line, which are not told apart further: each may hold
/// spaces. `None` for comments and empty lines.
fn entry(line: &str) -> Option<&str> {
    if line.starts_with(';') {
        return None;
    }
    let (_, behind) = line.split_once("; ")?;
    let mut parts = behind.splitn(3, ' ');
    let (_catalog, _oid) = (parts.next()?, parts.next()?);
    parts.next()
}

/// Returns true for what is never restored. Foreign keys come once the data is of one snapshot; the comment
/// of an extension comes with it, and only its owner may write one.
pub fn is_unwanted(entry: &str) -> bool {
    ["FK CONSTRAINT ", "COMMENT - EXTENSION "]
        .iter()
        .any(|start| entry.starts_with(start))
        || is_our_trigger(entry)
}

fn is_our_trigger(entry: &str) -> bool {
    // The name stands between the table's and the owner's, each of which may have spaces.
    entry.starts_with("TRIGGER ") && entry.split(' ').any(capture::is_our_trigger)
}

/// Returns true if the entry, cut off before its owner wherever that begins, is in the set.
fn starts_with_one_of(entry: &str, set: &BTreeSet<String>) -> bool {
    !set.is_empty()
        && entry
            .match_indices(' ')
            .any(|(at, _)| set.contains(&entry[..at]))
}

/// Returns a name as `pg_restore -l` prints it.
pub fn listed(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

/// Makes SQL that `pg_restore -f` wrote fit for a server: without psql's own commands, and without
/// settings and options that it does not know. Everything else stays as it is, to the byte: a line may
/// be part of a name or of a function's body.
pub fn for_server(sql: &str, version: i32) -> String {
    let mut restricted = None;
    let mut timeout = false;
    let mut identity = false;
    let mut unknown = |line: &str| match line.split_once(' ') {
        // What comes first is pg_restore's, and what ends it repeats the same random word.
        Some(("\\restrict", word)) if restricted.is_none() => {
            restricted = Some(word.to_string());
            true
        }
        Some(("\\unrestrict", word)) => restricted.as_deref() == Some(word),
        _ if version < 170_000 && !timeout && line == "SET transaction_timeout = 0;" => {
            timeout = true;
            true
        }
        // Before 15 every sequence is, and an unlogged table's is told from the table.
        _ if version < 150_000 && line.ends_with(" AS IDENTITY (") => {
            identity = true;
            false
        }
        _ if identity => {
            identity = line != ");";
            line == "    LOGGED"
        }
        _ => false,
    };
    let mut text = String::with_capacity(sql.len());
    for line in sql.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(bare) if unknown(bare) => {}
            Some(bare) => {
                if let Some(line) = without_foreign_option(bare) {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            None => text.push_str(line),
        }
    }
    text
}

/// Takes the option out of `ALTER TABLE … ALTER COLUMN … SET (n_distinct=5, pg_attver=2);`; nothing
/// is left of the statement if it was the only one.
fn without_foreign_option(line: &str) -> Option<String> {
    let wanted = line.starts_with("ALTER ") && line.contains(" ALTER COLUMN ");
    let Some((head, options)) = line.rsplit_once(" SET (").filter(|(_, options)| {
        wanted && options.contains(FOREIGN_OPTION) && options.ends_with(");")
    }) else {
        return Some(line.to_string());
    };
    let kept: Vec<&str> = options
        .trim_end_matches(");")
        .split(", ")
        .filter(|option| option.split('=').next() != Some(FOREIGN_OPTION))
        .collect();
    (!kept.is_empty()).then(|| format!("{head} SET ({});", kept.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
;
; Archive created at 2026-01-01
;     Dumped by pg_dump version: 18.4
;
2; 3079 16400 EXTENSION - citext 
3441; 0 0 COMMENT - EXTENSION citext 
215; 1259 16386 TABLE public t postgres
3300; 2606 16395 CONSTRAINT public t t_pkey postgres
3301; 1259 16396 INDEX public t_a role with spaces
3302; 1259 16397 INDEX public t_a_b role with spaces
3303; 2620 16398 TRIGGER public t pg_switchover_capture postgres
3304; 2620 16399 TRIGGER Odd \"Schema\" a table pg_switchover_truncate the owner
3308; 2620 16403 TRIGGER public p pg_switchover_capture_16390 postgres
3305; 2620 16401 TRIGGER public t audit postgres
3306; 2606 16402 FK CONSTRAINT public t t_parent_fkey postgres
3307; 0 0 COMMENT public CONSTRAINT t_parent_fkey ON t postgres
";

    fn ids(list: &str) -> Vec<&str> {
        list.lines()
            .filter(|line| entry(line).is_some())
            .filter_map(|line| line.split(';').next())
            .collect()
    }

    #[test]
    fn our_triggers_and_foreign_keys_stay_behind() {
        let filter = Filter {
            postponed: ["COMMENT public CONSTRAINT t_parent_fkey ON t".to_string()].into(),
            ..Filter::default()
        };
        let kept = filter.apply(LIST);
        assert_eq!(ids(&kept), ["2", "215", "3300", "3301", "3302", "3305"]);
        assert!(!kept.contains("Archive"), "only entries count");
    }

    #[test]
    fn what_exists_is_not_created_again_whoever_owns_it() {
        let existing = [
            "INDEX public t_a",
            "CONSTRAINT public t t_pkey",
            "TRIGGER public t audit",
        ];
        let filter = Filter {
            existing: existing.map(String::from).into(),
            ..Filter::default()
        };
        let kept = filter.apply(LIST);
        assert_eq!(ids(&kept), ["2", "215", "3302", "3307"]);
    }

    #[test]
    fn commands_of_psql_and_unknown_settings_are_taken_out() {
        let sql = "\\restrict abc\n\nSET transaction_timeout = 0;\nSET row_security = off;\n\\unrestrict abc\n";
        assert_eq!(for_server(sql, 160_003), "\nSET row_security = off;\n");
        assert!(for_server(sql, 180_000).contains("transaction_timeout"));
    }

    #[test]
    fn older_servers_need_not_be_told_that_a_sequence_is_logged() {
        let sql = "ALTER TABLE u ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME u_id_seq\n    LOGGED\n    CACHE 1\n);\n    LOGGED\n";
        assert_eq!(
            for_server(sql, 140_000),
            sql.replacen("    LOGGED\n", "", 1)
        );
        assert_eq!(for_server(sql, 150_000), sql);
    }

    #[test]
    fn what_only_looks_like_that_is_left_as_it_is() {
        let body = "SELECT 'a\r\n\\restrict abc\n\\unrestrict other\nSET transaction_timeout = 0;\nlast line'";
        let sql = format!("\\restrict abc\nSET transaction_timeout = 0;\n{body}");
        assert_eq!(for_server(&sql, 160_003), body);
    }

    #[test]
    fn an_option_that_servers_refuse_is_taken_out() {
        let sql = "ALTER TABLE ONLY public.t ALTER COLUMN a SET (pg_attver=2);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN b SET (n_distinct=5, pg_attver=2);\n\
                   ALTER TABLE ONLY public.t ALTER COLUMN c SET (n_distinct=5);\n";
        assert_eq!(
            for_server(sql, 180_000),
            "ALTER TABLE ONLY public.t ALTER COLUMN b SET (n_distinct=5);\n\
             ALTER TABLE ONLY public.t ALTER COLUMN c SET (n_distinct=5);\n"
        );
    }
}
