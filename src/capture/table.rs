//! The SQL that captures one table: its trigger functions, its reading function, its triggers. Pure
//! text, from the catalog's plain data.

use crate::catalog::{Key, KeyColumn, Oid, Relation};
use crate::ident::{ident, literal};

/// The row trigger that notes keys. That of a partitioned table has the table's oid behind the name: its
/// clones must meet no other trigger of ours on a table that an application attaches to it.
pub const CAPTURE_TRIGGER: &str = "pg_switchover_capture";
/// The statement trigger that notes TRUNCATE.
pub const TRUNCATE_TRIGGER: &str = "pg_switchover_truncate";

/// `format()` takes no more than 100 arguments (`FUNC_MAX_ARGS`).
const FORMAT_ARGUMENTS: usize = 90;

/// Settings that would change the text of a key; the trigger function of a table whose key has such
/// a type brings its own, the same that our sessions read it back with (session.sql).
const CANONICAL_SETTINGS: &str = "SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' \
     SET TimeZone = 'UTC' SET extra_float_digits = 3 SET bytea_output = 'hex' SET lc_monetary = 'C' \
     SET search_path = ''";

/// Returns the name of a table's row trigger.
pub fn row_trigger(relation: &Relation) -> String {
    match relation.partitioned {
        true => format!("{CAPTURE_TRIGGER}_{}", relation.oid),
        false => CAPTURE_TRIGGER.to_string(),
    }
}

/// Returns true for a name that our triggers have.
pub fn is_ours(trigger: &str) -> bool {
    let number = |oid: &str| !oid.is_empty() && oid.bytes().all(|byte| byte.is_ascii_digit());
    match trigger.strip_prefix(CAPTURE_TRIGGER) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('_').is_some_and(number),
        None => trigger == TRUNCATE_TRIGGER,
    }
}

/// Returns a hash of the text of a table's functions: another one says that they have to be made again.
pub fn functions_hash(relation: &Relation) -> String {
    // FNV-1a, which is the same in every build.
    let hash = functions(relation)
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

/// Returns the statements that create (or replace) the functions of a table.
pub fn functions(relation: &Relation) -> String {
    let capture = format!("switchover.{}", ident(&format!("capture_{}", relation.oid)));
    let read = format!("switchover.{}", ident(&format!("read_{}", relation.oid)));
    let settings = match &relation.key {
        Some(key) if key.columns.iter().any(|column| !column.plain_text) => CANONICAL_SETTINGS,
        _ => "",
    };
    format!(
        "CREATE OR REPLACE FUNCTION {capture}() RETURNS trigger
         LANGUAGE plpgsql SECURITY DEFINER {settings} AS {};
         REVOKE ALL ON FUNCTION {capture}() FROM PUBLIC;
         CREATE OR REPLACE FUNCTION {read}(whole boolean, most bigint, row_ids text[])
         RETURNS TABLE (key text, contents text) LANGUAGE plpgsql AS {};
         REVOKE ALL ON FUNCTION {read}(boolean, bigint, text[]) FROM PUBLIC;\n",
        literal(&capture_body(relation)),
        literal(&read_body(relation)),
    )
}

/// Returns the statements that put the triggers on a table. A partitioned
/// table's row trigger is cloned to every partition, also to those attached later; TRUNCATE triggers
/// are not, so each partition gets its own.
pub fn triggers(relation: &Relation) -> String {
    let mut sql = capture_trigger(relation);
    let tables = std::iter::once(&relation.name).chain(
        relation
            .partitions
            .iter()
            .filter(|part| !part.foreign)
            .map(|part| &part.name),
    );
    for table in tables {
        sql.push_str(&truncate_trigger(&table.to_string(), relation.oid));
    }
    sql
}

/// Returns the statement that removes triggers of ours from a table that is not captured: a partition
/// that was detached keeps its TRUNCATE trigger. DROP TRIGGER locks readers out, so only if there is one.
pub fn drop_leftovers(relation: &Relation) -> String {
    let oids: Vec<String> = std::iter::once(relation.oid)
        .chain(relation.partitions.iter().map(|part| part.oid))
        .map(|oid| oid.to_string())
        .collect();
    format!(
        "SELECT switchover.drop_triggers(ARRAY[{}]::oid[], NULL);\n",
        oids.join(", ")
    )
}

/// Returns the statements that make the triggers of a new partition as they have to be: those that it had
/// as a table of its own go, its clone of the root's row trigger, which PostgreSQL has made, always fires,
/// and it gets its TRUNCATE trigger.
pub fn partition_triggers(root: &Relation, partition: Oid, name: &str) -> String {
    let (oid, row) = (root.oid, row_trigger(root));
    let drop =
        format!("SELECT switchover.drop_triggers(ARRAY[{partition}]::oid[], '{oid}\\000');\n");
    let make = literal(&format!(
        "BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t
                    WHERE t.tgrelid = {partition} AND t.tgname = '{TRUNCATE_TRIGGER}') THEN
        {}
    END IF;
END",
        truncate_trigger(name, oid)
    ));
    format!(
        "{drop}DO {make};
         ALTER TABLE ONLY {name} ENABLE ALWAYS TRIGGER {TRUNCATE_TRIGGER};
         ALTER TABLE ONLY {name} ENABLE ALWAYS TRIGGER {row};\n"
    )
}

/// Returns the statements that put the row trigger on a table and, as clones, on its partitions.
pub fn capture_trigger(relation: &Relation) -> String {
    let (name, trigger) = (&relation.name, row_trigger(relation));
    format!(
        "CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {name}
         FOR EACH ROW EXECUTE FUNCTION switchover.{}();
         ALTER TABLE {name} ENABLE ALWAYS TRIGGER {trigger};\n",
        ident(&format!("capture_{}", relation.oid)),
    )
}

/// Returns the statements that put the TRUNCATE trigger on one table of the root `oid`.
pub fn truncate_trigger(table: &str, oid: u32) -> String {
    format!(
        "CREATE TRIGGER {TRUNCATE_TRIGGER} AFTER TRUNCATE ON {table}
         FOR EACH STATEMENT EXECUTE FUNCTION switchover.capture_truncate('{oid}');
         ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER {TRUNCATE_TRIGGER};\n"
    )
}

/// Returns the statement that notes a table as captured in its present shape.
pub fn note_captured(relation: &Relation) -> String {
    let keys: Vec<String> = relation.key_columns().map(literal).collect();
    format!(
        "SELECT switchover.note_captured({}, {}, {}, ARRAY[{}]::text[], '{}');\n",
        relation.oid,
        literal(&relation.name.schema),
        literal(&relation.name.name),
        keys.join(", "),
        functions_hash(relation),
    )
}

/// The trigger inserts into the log first, which is where a writer waits while a switch holds the
/// lock, and looks at the fence after that: a writer that waited sees the flip it waited for.
///
/// A key column that was renamed, retyped or dropped must not make the application's writes fail until
/// somebody looks: the whole table counts as changed then. Nothing is written inside the block, so it takes
/// no transaction id.
fn capture_body(relation: &Relation) -> String {
    let insert = |id: &str| {
        let oid = relation.oid;
        format!(
            "IF pg_catalog.pg_sequence_last_value('switchover.turn'::pg_catalog.regclass) IS NULL THEN
        INSERT INTO switchover.change_log_1 (table_id, row_id) VALUES ({oid}, {id});
    ELSE
        INSERT INTO switchover.change_log_2 (table_id, row_id) VALUES ({oid}, {id});
    END IF;"
        )
    };
    let fence =
        "IF pg_catalog.pg_sequence_last_value('switchover.fence'::pg_catalog.regclass) IS NOT NULL THEN
        PERFORM switchover.refuse_writes();
    END IF;
    RETURN NULL;
END";
    let Some(key) = &relation.key else {
        return format!("BEGIN\n    {}\n    {fence}", insert("NULL"));
    };
    format!(
        "DECLARE
    changed_id pg_catalog.text;
    former_id pg_catalog.text;
BEGIN
    BEGIN
        IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
            changed_id := {old};
        ELSE
            changed_id := {new};
            IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
                former_id := {old};
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        changed_id := NULL;
        former_id := NULL;
    END;
    {insert_changed}
    IF former_id OPERATOR(pg_catalog.<>) changed_id
    OR former_id IS NULL AND changed_id IS NOT NULL AND TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
        {insert_former}
    END IF;
    {fence}",
        old = row_id("OLD", key),
        new = row_id("NEW", key),
        insert_changed = insert("changed_id"),
        insert_former = insert("former_id"),
    )
}

/// The text that identifies a row in the log: the key column's, or that of an array of texts; NULL, which stands
/// for the whole table, if a column is NULL, which a key's becomes only when it is no key any more. (IS NULL would
/// also be true of a composite value of NULLs, which a key may be.)
///
/// `concat()` prints a value by its type's output function, which only superusers can write. A cast to text may
/// be defined by the owner of the type, and would run with the rights of the trigger function's owner: never
/// cast here, not even what is of a built-in type today, because the table's owner may change that tomorrow.
pub fn row_id(record: &str, key: &Key) -> String {
    let values: Vec<String> = key
        .columns
        .iter()
        .map(|column| format!("{record}.{}", ident(&column.name)))
        .collect();
    let texts: Vec<String> = values
        .iter()
        .map(|value| format!("pg_catalog.concat({value})"))
        .collect();
    let text = match texts.as_slice() {
        [one] => one.clone(),
        several => format!("(ARRAY[{}])::pg_catalog.text", several.join(", ")),
    };
    format!(
        "CASE WHEN pg_catalog.num_nulls({}) OPERATOR(pg_catalog.>) 0 THEN NULL ELSE {text} END",
        values.join(", ")
    )
}

/// Returns a query for the distinct changed keys of a table, as [`distinct_keys`] has them.
pub fn changed_keys(relation: &Relation, key: &Key) -> String {
    let logged = format!(
        "(SELECT c.row_id FROM switchover.logged() c WHERE c.table_id = {}) l",
        relation.oid
    );
    distinct_keys(key, &logged)
}

/// Returns a query for the distinct keys among the texts `l.row_id`, as columns k1, k2, … of the key's own
/// types. Distinct by those types' equality: the texts 1.0 and 1.00 are one numeric key.
///
/// Values of types that users made are read by their input functions, through JSON: a cast from text may be
/// defined by the type's owner, mean something else, and would run with our rights.
fn distinct_keys(key: &Key, texts: &str) -> String {
    let text = |index: usize| match key.columns.len() {
        1 => "l.row_id".to_string(),
        _ => format!("(l.row_id::pg_catalog.text[])[{index}]"),
    };
    let numbered = || (1..).zip(&key.columns);
    let columns: Vec<String> = numbered()
        .map(|(index, column)| {
            let value = match column.of_user() {
                true => format!("u.k{index}"),
                false => format!("({}::{})", text(index), column.type_name),
            };
            format!("{value}{} AS k{index}", column.collate)
        })
        .collect();
    let (pairs, typed): (Vec<String>, Vec<String>) = numbered()
        .filter(|(_, column)| column.of_user())
        .map(|(index, column)| {
            let pair = format!("'k{index}', {}", text(index));
            (pair, format!("k{index} {}", column.type_name))
        })
        .unzip();
    let read = match pairs.is_empty() {
        true => String::new(),
        false => format!(
            ", pg_catalog.json_to_record(pg_catalog.json_build_object({})) AS u ({})",
            pairs.join(", "),
            typed.join(", ")
        ),
    };
    format!(
        "SELECT DISTINCT {} FROM {texts}{read} WHERE l.row_id IS NOT NULL",
        columns.join(", ")
    )
}

/// Returns the condition that a row `t` has the key `k`.
pub fn key_matches(key: &Key) -> String {
    let same = |(index, column): (usize, &KeyColumn)| {
        format!(
            "t.{} {} k.k{}{}",
            ident(&column.name),
            column.equals,
            index + 1,
            column.collate
        )
    };
    key.columns
        .iter()
        .enumerate()
        .map(same)
        .collect::<Vec<_>>()
        .join(" AND ")
}

/// Returns an expression for a list of literals. `%L` prints a value with its type's output
/// function; a cast to text would strip the blanks that a char(n) has stored.
fn literals(expressions: &[String]) -> String {
    let parts: Vec<String> = expressions
        .chunks(FORMAT_ARGUMENTS)
        .map(|chunk| {
            let places = vec!["%L"; chunk.len()].join(",");
            format!("pg_catalog.format('{places}', {})", chunk.join(", "))
        })
        .collect();
    match parts.as_slice() {
        [] => "''::pg_catalog.text".to_string(),
        [one] => one.clone(),
        several => format!("pg_catalog.concat_ws(',', {})", several.join(", ")),
    }
}

/// The parameters go by number: a column of the table may have the name of either.
fn read_body(relation: &Relation) -> String {
    let written: Vec<String> = relation
        .written_columns()
        .map(|column| format!("t.{}", ident(&column.name)))
        .collect();
    let (name, only) = (&relation.name, relation.only());
    let contents = literals(&written);
    let everything = format!(
        "RETURN QUERY SELECT NULL::pg_catalog.text, {contents} FROM{only} {name} t LIMIT $2;"
    );
    let Some(key) = &relation.key else {
        return format!("BEGIN\n    {everything}\nEND");
    };
    let keys: Vec<String> = (1..=key.columns.len())
        .map(|index| format!("k.k{index}"))
        .collect();
    format!(
        "BEGIN
    IF $1 THEN
        {everything}
    ELSE
        RETURN QUERY
        SELECT {}, CASE WHEN t.tableoid IS NOT NULL THEN {contents} END
          FROM ({}) k
          LEFT JOIN{only} {name} t ON {}
         LIMIT $2;
    END IF;
END",
        literals(&keys),
        distinct_keys(key, "pg_catalog.unnest($3) AS l (row_id)"),
        key_matches(key),
    )
}
