use super::*;
use crate::catalog::{Column, KeyColumn, Spelled};

fn column(name: &str, type_name: &str) -> Column {
    Column {
        name: name.to_string(),
        type_name: Spelled {
            sql: type_name.to_string(),
            comparable: type_name.to_string(),
        },
        base_type: type_name.to_string(),
        not_null: true,
        generated: false,
        binary_form: None,
        plain_text: true,
    }
}

fn relation_of(columns: Vec<Column>, key: &[&str]) -> Relation {
    let key_columns: Vec<KeyColumn> = columns
        .iter()
        .filter(|column| key.contains(&column.name.as_str()))
        .map(|column| KeyColumn {
            name: column.name.clone(),
            type_name: column.type_name.sql.clone(),
            equals: "OPERATOR(pg_catalog.=)".to_string(),
            collate: String::new(),
            deterministic: true,
            plain_text: true,
        })
        .collect();
    Relation {
        oid: 1,
        name: QualifiedName::new("s", "t"),
        partitioned: false,
        unlogged: false,
        owner: String::new(),
        owned: true,
        key: (!key_columns.is_empty()).then(|| Key {
            index: "i".to_string(),
            primary: true,
            columns: key_columns,
        }),
        columns,
        partitions: Vec::new(),
        bytes: 0,
        pages: 0,
        rows: 0.0,
    }
}

fn with_pair(key: &[&str], test: impl FnOnce(&Pair<'_>)) {
    let relation = relation_of(
        vec![
            column("i d", "bigint"),
            column("f", "real"),
            column("a", "text[]"),
        ],
        key,
    );
    let compared = |name, form| Compared { name, form };
    test(&Pair {
        source: &relation,
        destination: &relation,
        columns: vec![
            compared("i d", Form::Binary),
            compared("f", Form::Float),
            compared("a", Form::Text),
        ],
    });
}

const HASH: Hash = Hash::Native { seed: 5 };
const ROW: &str = "pg_catalog.hash_array_extended(ARRAY[pg_catalog.record_send(ROW(\
    t.\"i d\", CASE WHEN t.\"f\" = 'NaN' THEN 'NaN' ELSE t.\"f\" END, \
    pg_catalog.format('%L', t.\"a\")))], 5)";

#[test]
fn a_piece_is_counted_and_its_hashes_added() {
    let pages = Pages {
        from: "ONLY \"s\".\"t\"".to_string(),
        first: 10,
        end: Some(20),
    };
    with_pair(&["i d"], |pair| {
        assert_eq!(
            scan(HASH, pair, &pages, 1),
            format!(
                "SELECT 0, pg_catalog.count(*), pg_catalog.sum({ROW}) FROM ONLY \"s\".\"t\" AS t \
                 WHERE t.ctid >= '(10,0)' AND t.ctid < '(20,0)'"
            )
        );
        assert_eq!(
            scan(HASH, pair, &Pages::all(&pair.source.name), 8),
            format!(
                "SELECT pg_catalog.hashint8extended(t.\"i d\"::pg_catalog.int8, 5) & 7, \
                 pg_catalog.count(*), pg_catalog.sum({ROW}) FROM ONLY \"s\".\"t\" AS t GROUP BY 1"
            )
        );
    });
}

#[test]
fn rows_come_in_the_order_of_their_keys() {
    with_pair(&["i d", "a"], |pair| {
        assert_eq!(
            rows(HASH, pair, Side::Source, 8, &[1, 5]),
            format!(
                "COPY (SELECT pg_catalog.encode(pg_catalog.convert_to(pg_catalog.format('%L, %L', \
                 t.\"i d\", t.\"a\"), 'UTF8'), 'hex') COLLATE pg_catalog.\"C\", {ROW} \
                 FROM ONLY \"s\".\"t\" AS t WHERE pg_catalog.hash_array_extended(ARRAY[\
                 pg_catalog.record_send(ROW(t.\"i d\", pg_catalog.format('%L', t.\"a\")))], 6) & 7 \
                 = ANY ('{{1,5}}'::pg_catalog.int8[]) ORDER BY 1) TO STDOUT"
            )
        );
    });
}

#[test]
fn rows_without_a_key_are_counted_by_their_hash() {
    with_pair(&[], |pair| {
        assert_eq!(
            rows(HASH, pair, Side::Source, 2, &[0, 1]),
            format!(
                "COPY (SELECT {ROW}, pg_catalog.count(*) FROM ONLY \"s\".\"t\" AS t \
                 GROUP BY 1 ORDER BY 1) TO STDOUT"
            )
        );
    });
}

#[test]
fn columns_are_found_through_the_operator_of_the_key() {
    with_pair(&["i d"], |pair| {
        let key = pair.source.key.as_ref().unwrap();
        let sql = columns(HASH, pair, key, Side::Source, &["'1'", "'2'"]);
        assert!(
            sql.ends_with(
                "FROM (VALUES (NULL::bigint), ('1'), ('2')) AS wanted (k0) JOIN ONLY \"s\".\"t\" AS t \
                 ON t.\"i d\" OPERATOR(pg_catalog.=) wanted.k0"
            ),
            "{sql}"
        );
        assert_eq!(key_condition(key, "'1'"), "\"i d\" = '1'");
    });
}
