//! Whatever identifies a row: keys of every kind of type, through the copy, small cycles, large cycles and
//! verify, written by sessions with settings of their own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::judge;
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::thorough;

/// A table with a key. `#` stands for a number in the expressions.
struct Keyed {
    name: &'static str,
    /// What has to be there first.
    before: &'static str,
    /// Key columns and the constraint or index that makes them the key; `@` stands for the table.
    columns: &'static str,
    after: &'static str,
    /// Names of the key columns.
    key: &'static str,
    /// The key of a number.
    value: &'static str,
    /// An equal key in another spelling, if the type has one.
    respelt: &'static str,
}

const fn keyed(name: &'static str, columns: &'static str, value: &'static str) -> Keyed {
    Keyed {
        name,
        before: "",
        columns,
        after: "",
        key: "k",
        value,
        respelt: "",
    }
}

/// Types that every server has.
const KEYS: &[Keyed] = &[
    keyed("k_int2", "k int2 PRIMARY KEY", "# - 10"),
    keyed("k_numeric", "k numeric PRIMARY KEY", "CASE # WHEN 1 THEN 'NaN' WHEN 2 THEN '-99999999999999999999.5' ELSE #::numeric / 3 END"),
    Keyed {
        respelt: "#.500000",
        ..keyed("k_scale", "k numeric PRIMARY KEY", "#.50")
    },
    keyed(
        "k_float8",
        "k float8 PRIMARY KEY",
        "CASE # WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' WHEN 3 THEN 5e-324 WHEN 4 THEN 1.7976931348623157e308 ELSE # * 0.1::float8 END",
    ),
    Keyed {
        respelt: "CASE # WHEN 9 THEN 0 ELSE # * 0.1::float4 END",
        ..keyed("k_zero", "k float4 PRIMARY KEY", "CASE # WHEN 9 THEN '-0' WHEN 19 THEN 'NaN' ELSE # * 0.1::float4 END")
    },
    keyed("k_timestamptz", "k timestamptz PRIMARY KEY",
        "CASE # WHEN 1 THEN 'infinity' WHEN 3 THEN '-infinity' WHEN 4 THEN '4713-01-02 00:00:00+00 BC' ELSE '2024-03-31 00:30:00.1+00'::timestamptz + # * interval '1 hour 1 us' END"),
    keyed("k_date", "k date PRIMARY KEY", "CASE # WHEN 1 THEN 'infinity' WHEN 4 THEN '0044-03-15 BC' ELSE '2024-02-01'::date + # END"),
    Keyed {
        respelt: "make_interval(days => 30 * #)",
        ..keyed("k_interval", "k interval PRIMARY KEY", "make_interval(months => #)")
    },
    keyed("k_money", "k money PRIMARY KEY", "(# * -1234.56)::numeric::money"),
    keyed("k_bytea", "k bytea PRIMARY KEY", r"decode(lpad(to_hex(#), 2, '0') || '005c27220a00', 'hex')"),
    keyed("k_bytes", "k bytea PRIMARY KEY", r"CASE # WHEN 1 THEN '' ELSE set_byte('\x00', 0, # * 2) END"),
    keyed("k_uuid", "k uuid PRIMARY KEY", "md5(#::text)::uuid"),
    keyed("k_inet", "k inet PRIMARY KEY", "('10.0.0.' || # || '/' || 8 + # % 8)::inet"),
    keyed("k_cidr", "k cidr PRIMARY KEY", "set_masklen('2001:db8::'::cidr, 128 - # % 96)"),
    keyed("k_macaddr8", "k macaddr8 PRIMARY KEY", "('08:00:2b:01:02:03:04:' || lpad(to_hex(#), 2, '0'))::macaddr8"),
    keyed("k_bit", "k bit(10) PRIMARY KEY", "#::bit(10)"),
    keyed("k_varbit", "k varbit PRIMARY KEY", "#::bit(10)::varbit || repeat('1', # % 3)::varbit"),
    keyed("k_char", "k \"char\" PRIMARY KEY", "chr(27 + #)::\"char\""),
    Keyed {
        respelt: "#::text || '    '",
        ..keyed("k_bpchar", "k char(6) PRIMARY KEY", "#::text")
    },
    keyed("k_blanks", "k char(6) PRIMARY KEY", "repeat(' ', # % 4) || #"),
    keyed("k_name", "k name PRIMARY KEY", r#"'a "name" \ ' || #"#),
    keyed("k_text", "k text PRIMARY KEY",
        r#"(ARRAY['', ' ', 'NULL', '\N', '\.', E'\t\n', '{a,b}', '(1,2)', ', ', $$'; --$$, '"', '\', 'Zoë 日本 🐘', 'k', 'E''\x'])[1 + # % 15] || repeat(chr(200 + #), # / 15)"#),
    keyed("k_wide", "k text PRIMARY KEY", "repeat('wide ', 20000) || #"),
    keyed("k_page", "k text PRIMARY KEY", "(SELECT string_agg(md5(# || '/' || i), '') FROM generate_series(1, 80) i)"),
    keyed("k_oid", "k oid PRIMARY KEY", "4294967295 - #"),
    keyed("k_xid8", "k xid8 PRIMARY KEY", "('18446744073709551' || 500 + #)::xid8"),
    keyed("k_pg_lsn", "k pg_lsn PRIMARY KEY", "('FFFFFFFF/' || to_hex(#))::pg_lsn"),
    keyed("k_tid", "k tid PRIMARY KEY", "('(' || # || ',' || # || ')')::tid"),
    keyed("k_jsonb", "k jsonb PRIMARY KEY", r#"jsonb_build_object('n', #, 'text', E'"\\')"#),
    keyed("k_tsvector", "k tsvector PRIMARY KEY", "('''w ' || # || ''':1A b:2')::tsvector"),
    keyed("k_ints", "k int[] PRIMARY KEY", "CASE # WHEN 1 THEN '{}' WHEN 3 THEN '[0:1]={7,NULL}' WHEN 4 THEN '{{1,2},{3,4}}' ELSE ARRAY[#, NULL] END"),
    keyed("k_times", "k timestamptz[] PRIMARY KEY", "ARRAY['infinity', NULL, 'epoch'::timestamptz + # * interval '1 day']"),
    keyed("k_floats", "k float8[] PRIMARY KEY", "ARRAY[# * 0.1, 'NaN', '-Infinity']"),
    keyed("k_range", "k tstzrange PRIMARY KEY", "CASE # WHEN 1 THEN 'empty' ELSE tstzrange('epoch'::timestamptz + # * interval '1 day 1 us', NULL) END"),
    keyed("k_numrange", "k numrange PRIMARY KEY", "numrange(#, # + 1.50, '(]')"),
    Keyed {
        before: "CREATE TYPE mood AS ENUM (); DO $do$ BEGIN FOR i IN 1..99 LOOP
                     EXECUTE format('ALTER TYPE mood ADD VALUE %L', (ARRAY['it''s', 'a, b', '{', '', '\\', '\"'])[1 + i % 6] || i); END LOOP; END $do$;",
        ..keyed("k_enum", "k mood PRIMARY KEY", "(enum_range(NULL::mood))[#]")
    },
    keyed("k_enums", "k mood[] PRIMARY KEY", "(enum_range(NULL::mood))[#:# + 1]"),
    Keyed {
        before: "CREATE DOMAIN code AS varchar(8) CHECK (VALUE <> 'no'); CREATE DOMAIN moment AS timestamptz;
                 CREATE DOMAIN codes AS code[];",
        ..keyed("k_domain", "k code PRIMARY KEY", "'c ' || #")
    },
    keyed("k_moment", "k moment PRIMARY KEY", "'1999-12-31 23:59:59.999999+00'::timestamptz - # * interval '33 days'"),
    keyed("k_codes", "k codes PRIMARY KEY", "ARRAY['a', NULL, 'c ' || #]::codes"),
    Keyed {
        before: "CREATE TYPE duo AS (n float8, t text, at timestamptz);",
        ..keyed("k_composite", "k duo PRIMARY KEY", r#"ROW(# * 0.1, 'it''s "' || #, 'epoch'::timestamptz + # * interval '1 day')::duo"#)
    },
    Keyed {
        before: "CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);",
        ..keyed("k_span", "k span PRIMARY KEY", "span(# * 0.1, NULL)")
    },
    Keyed {
        key: "a, b, c, d",
        ..keyed("several", "d timestamptz, b text, a float8, c bytea, PRIMARY KEY (a, b, c, d)",
            r#"# * 0.1, '{""' || #, decode(md5(#::text), 'hex'), 'epoch'::timestamptz + # * interval '1 day'"#)
    },
    // Swapped for real: unique at the end of the transaction, or the statement.
    keyed("deferred", "k int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED", "#"),
    // No primary key.
    keyed("unique_index", "x int, k int NOT NULL UNIQUE, y int UNIQUE", "#"),
    Keyed {
        key: "k, l",
        after: "CREATE UNIQUE INDEX ident ON @ (k, l); ALTER TABLE @ REPLICA IDENTITY USING INDEX ident",
        ..keyed("identity_index", "k int NOT NULL, l text NOT NULL, m int NOT NULL DEFAULT 5, n int UNIQUE", "#, 'l' || # % 3")
    },
    Keyed {
        key: "k, l",
        after: "CREATE UNIQUE INDEX ON @ (l DESC NULLS LAST, k text_pattern_ops) INCLUDE (note)",
        ..keyed("odd_index", "k text NOT NULL, l int NOT NULL", "'k' || #, # % 4")
    },
    // None.
    keyed("keyless", "k int", "#"),
    Keyed {
        after: "CREATE UNIQUE INDEX ON @ (k) WHERE k IS NOT NULL; CREATE UNIQUE INDEX ON @ ((tag + 1))",
        ..keyed("not_keyed", "k int UNIQUE", "NULLIF(#, 7)")
    },
];

/// What only servers with ICU and the contributed extensions have.
const CONTRIB: &[Keyed] = &[
    Keyed {
        before: "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                 CREATE COLLATION \"Odd 'coll'\" (provider = icu, locale = 'und-u-ks-level1', deterministic = false);",
        respelt: "'KEY # é'",
        ..keyed("k_ci", "k text COLLATE ci PRIMARY KEY", "'Key # é'")
    },
    Keyed {
        respelt: "'KEY # E'",
        ..keyed("k_ci_char", "k varchar(20) COLLATE \"Odd 'coll'\" PRIMARY KEY", "'Key # é'")
    },
    // The index has another collation than its column, either way round.
    Keyed {
        after: "CREATE UNIQUE INDEX ON @ (k COLLATE \"C\")",
        ..keyed("k_c_over_ci", "k text COLLATE ci NOT NULL", "CASE # % 2 WHEN 0 THEN 'key ' ELSE 'KEY ' END || # / 2")
    },
    Keyed {
        after: "CREATE UNIQUE INDEX ON @ (k COLLATE ci)",
        respelt: "'KEY #'",
        ..keyed("k_ci_over_c", "k text NOT NULL", "'key #'")
    },
    Keyed {
        before: "CREATE DOMAIN ci_code AS text COLLATE ci;",
        respelt: "'KEY #'",
        ..keyed("k_ci_domain", "k ci_code PRIMARY KEY", "'key #'")
    },
    Keyed {
        before: "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE EXTENSION ltree SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext;",
        respelt: "'KEY #'",
        ..keyed("k_citext", "k ext.citext PRIMARY KEY", "'key #'")
    },
    Keyed {
        key: "k, l",
        respelt: "'KEY #', 1.000",
        ..keyed("k_citexts", "k ext.citext, l numeric, PRIMARY KEY (l, k)", "'key #', 1.0")
    },
    keyed("k_ltree", "k ext.ltree PRIMARY KEY", "'a.b#.c'::ext.ltree"),
    keyed("k_hstore", "k ext.hstore PRIMARY KEY", "ext.hstore('n', '#')"),
];

/// DateStyle, IntervalStyle, TimeZone, extra_float_digits, bytea_output, lc_monetary.
const STYLES: [[&str; 6]; 4] = [
    [
        "SQL, DMY",
        "sql_standard",
        "Europe/Berlin",
        "-15",
        "escape",
        "C",
    ],
    [
        "German",
        "iso_8601",
        "Asia/Kathmandu",
        "0",
        "escape",
        "C.UTF-8",
    ],
    [
        "Postgres, MDY",
        "postgres_verbose",
        "America/St_Johns",
        "1",
        "hex",
        "C",
    ],
    ["ISO, MDY", "postgres", "<-03>+03", "-4", "escape", "POSIX"],
];

fn styled(number: usize) -> String {
    let [dates, intervals, zone, floats, bytes, money] = STYLES[number % STYLES.len()];
    format!(
        "SET DateStyle = '{dates}'; SET IntervalStyle = '{intervals}'; SET TimeZone = '{zone}';
         SET extra_float_digits = {floats}; SET bytea_output = '{bytes}'; SET lc_monetary = '{money}';\n"
    )
}

impl Keyed {
    fn value(&self, number: u32) -> String {
        self.value.replace('#', &number.to_string())
    }

    /// The table with the rows 1 to 45; row and key of the same number belong together.
    fn create(&self) -> String {
        let Keyed {
            name,
            before,
            columns,
            key,
            ..
        } = self;
        let after = self.after.replace('@', name);
        let rows: String = (1..=45)
            .map(|number| {
                format!(
                    "INSERT INTO {name} (tag, {key}) VALUES ({number}, {});\n",
                    self.value(number)
                )
            })
            .collect();
        format!("{before}\nCREATE TABLE {name} (tag int, note text, {columns});\n{after};\n{rows}")
    }

    fn rekey(&self, tag: u32, value: &str) -> String {
        let Keyed { name, key, .. } = self;
        format!("UPDATE {name} SET ({key}) = (SELECT {value}) WHERE tag = {tag};\n")
    }

    /// Everything that may happen to ten rows and their keys: touched, deleted, inserted, deleted and
    /// inserted, given another key, exchanged by two, by three, and spelt otherwise.
    fn change(&self, ten: u32) -> String {
        let Keyed { name, key, .. } = self;
        let tag = |one: u32| 10 * ten + one;
        let rekey = |one: u32, number: u32| self.rekey(tag(one), &self.value(number));
        let insert = |number: u32| {
            let value = self.value(number);
            format!("INSERT INTO {name} (tag, {key}) VALUES ({number}, {value});\n")
        };
        let mut sql = format!(
            "UPDATE {name} SET note = 'touched {ten}' WHERE tag = {};
             DELETE FROM {name} WHERE tag = {}; DELETE FROM {name} WHERE tag = {};\n",
            tag(1),
            tag(2),
            tag(10)
        );
        sql += &(insert(60 + ten) + &insert(tag(10)) + &rekey(3, 70 + ten));
        if self.name == "deferred" {
            // The second row gets the first one's key while that still has it.
            sql += &format!("BEGIN;\n{}{}COMMIT;\n", rekey(5, tag(4)), rekey(4, tag(5)));
        } else {
            sql += &(rekey(4, 90) + &rekey(5, tag(4)) + &rekey(4, tag(5)));
        }
        sql += &(rekey(6, 91) + &rekey(7, tag(6)) + &rekey(8, tag(7)) + &rekey(6, tag(8)));
        if !self.respelt.is_empty() {
            let number = tag(9).to_string();
            sql += &self.rekey(tag(9), &self.respelt.replace('#', &number));
        }
        sql
    }

    /// What a writer does over and over to a row that nobody else changes.
    fn stir(&self, writer: u32) -> String {
        let Keyed { name, key, .. } = self;
        let value = |number| self.value(number);
        format!(
            "UPDATE {name} SET note = coalesce(note, '') || 'x' WHERE tag = {tag};
             DELETE FROM {name} WHERE tag = {new}; INSERT INTO {name} (tag, {key}) VALUES ({new}, {});
             UPDATE {name} SET ({key}) = (SELECT {}) WHERE tag = {new};\n",
            value(80 + writer),
            value(85 + writer),
            tag = 41 + writer,
            new = 80 + writer,
        )
    }
}

/// Ends the writers, also when a test fails: whoever starts them waits for them.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every key, through everything that moves rows.
fn move_keys(pair: &Pair, tables: &[&Keyed]) {
    let all = |make: &dyn Fn(&Keyed) -> String| -> String {
        tables.iter().map(|table| make(table)).collect()
    };
    pair.on_source(&all(&Keyed::create));
    pair.on_source(
        "CREATE TABLE at_rest (k int, v text); INSERT INTO at_rest VALUES (1, 'x'), (1, 'x')",
    );
    pair.run(&["init", "-q"]).expect(0);
    let (over, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let ending = Ending(&over);
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let script = styled(writer as usize + 1) + &all(&|table| table.stir(writer));
                let (over, rounds, mut client) = (&over, &rounds, pair.source_client());
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        client.batch_execute(&script).unwrap();
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        pair.run(&["copy", "-q", "--create-schema"]).expect(0);
        let at_rest = "SELECT DISTINCT xmin FROM at_rest";
        let copied = pair.on_destination(at_rest);
        for (ten, options) in [
            (0, ["--max-pending=100000", "-q"]),
            (1, ["--max-pending=2", "-q"]),
            (2, ["--max-pending=40", "-q"]),
        ] {
            pair.on_source(&(styled(ten as usize) + &all(&|table| table.change(ten))));
            pair.run(&[&["sync"], &options[..]].concat()).expect(0);
        }
        pair.run(&["verify", "-q"]).expect(0);
        drop(ending);
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        assert!(rounds.load(Ordering::Relaxed) >= 2, "nobody wrote");
        // What is small goes in one message, as it must in the window: COPY would cover up that this cannot be.
        pair.run(&["sync", "-q"]).expect(0);
        pair.on_source(&(styled(3) + &all(&|table| table.change(3))));
        let small = pair.run(&["sync", "-v", "--max-pending=100000"]).expect(0);
        assert!(small.stderr.contains("cycle "), "{}", small.report());
        assert!(!small.stderr.contains("by COPY"), "{}", small.report());
        pair.on_source(&(styled(3) + &all(&|table| table.change(4))));
        pair.run(&["switch", "-q"]).expect(0);
        // A table without a key is copied as a whole after a change, and only then.
        assert_eq!(pair.on_destination(at_rest), copied);
    });
    judge(pair);
}

#[test]
fn keys_of_every_type_are_found_again() {
    let pair = Pair::new(15, 18);
    move_keys(&pair, &KEYS.iter().collect::<Vec<_>>());
}

#[test]
fn keys_that_are_equal_in_several_spellings_are_one() {
    for versions in [(15, 15), (14, 17)] {
        if versions == (15, 15) || thorough() {
            let pair = Pair::new(versions.0, versions.1);
            move_keys(&pair, &CONTRIB.iter().collect::<Vec<_>>());
        }
    }
}

/// A difference in a key of any type is found, and told in one line.
#[test]
fn verify_finds_a_row_whatever_its_key_is() {
    let pair = Pair::new(15, 15);
    let tables: Vec<&Keyed> = KEYS
        .iter()
        .chain(CONTRIB)
        .filter(|table| !table.name.contains("key"))
        .collect();
    let create: String = tables.iter().map(|table| table.create()).collect();
    pair.on_source(&create);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    let harm: String = tables
        .iter()
        .map(|table| {
            format!(
                "UPDATE {} SET note = 'changed' WHERE tag = 5; DELETE FROM {0} WHERE tag = 6;\n",
                table.name
            )
        })
        .collect();
    pair.past_the_guard(&harm);
    let outcome = pair.run(&["verify"]).expect(3);
    for table in &tables {
        let line = format!(
            "table \"public\".\"{}\": 1 missing on the destination, 0 only on the destination, 1 with other values",
            table.name
        );
        let mut rest = outcome
            .stdout
            .lines()
            .skip_while(|found| !found.contains(&line));
        assert!(rest.next().is_some(), "{line}\n{}", outcome.report());
        let rows: Vec<&str> = rest.by_ref().take(2).collect();
        let ends: Vec<bool> = vec![
            rows.iter()
                .any(|row| row.ends_with(": missing on the destination")),
            rows.iter()
                .any(|row| row.ends_with(": differs in \"note\"")),
        ];
        assert_eq!(ends, [true, true], "{line}\n{rows:?}");
    }
    assert_ne!(compare::differences(&pair, &[]), Vec::<String>::new());
}

/// What is one key here and two there would leave rows behind.
#[test]
fn a_key_must_be_compared_alike_on_both_sides() {
    let pair = Pair::new(15, 15);
    let ci =
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    pair.on_source(&format!(
        "{ci}; CREATE TABLE t (k text COLLATE ci PRIMARY KEY, v int); INSERT INTO t VALUES ('Key', 1)"
    ));
    pair.on_destination(&format!("{ci}; CREATE TABLE t (k text PRIMARY KEY, v int)"));
    let said = "the key of table \"public\".\"t\" compares \"k\" with COLLATE public.ci on the source and with COLLATE pg_catalog.\"default\" on the destination";
    let found = pair.run(&["check"]).expect(3);
    found.expect_stdout(said);
    pair.run(&["init", "-q"]).expect(0);
    let outcome = pair.run(&["copy", "-q"]).expect(1).expect_stderr(said);
    let mend = outcome
        .stderr
        .trim_end()
        .rsplit_once("; ")
        .unwrap()
        .1
        .to_string();
    pair.on_destination(mend.strip_suffix(" there").unwrap());
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source("UPDATE t SET k = 'KEY'");
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

/// A composite value of nulls is no null: it may be a key, though IS NULL is true of it.
#[test]
fn a_key_of_nothing_but_null_fields_is_noted_when_it_goes() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TYPE duo AS (a int, b int); CREATE TABLE t (k duo PRIMARY KEY, v int)");
    pair.on_source("INSERT INTO t VALUES (ROW(NULL, NULL), 1), (ROW(1, 1), 1)");
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    for change in [
        "UPDATE t SET k = ROW(2, 2) WHERE k IS NULL",
        "UPDATE t SET k = ROW(NULL, NULL) WHERE k = ROW(1, 1)::duo",
        "UPDATE t SET v = 2 WHERE k IS NULL",
        "DELETE FROM t WHERE k IS NULL",
    ] {
        pair.on_source(change);
        let whole = "SELECT count(*) FROM switchover.change_log WHERE row_id IS NULL";
        assert_eq!(pair.on_source(whole), "0", "{change}");
        pair.run(&["sync", "-q"]).expect(0);
        compare::assert_equal(&pair);
    }
}

/// Names of relations are printed as the writer's search_path has them, and read back without one.
#[test]
fn a_key_that_names_relations_is_noted_whatever_the_writers_search_path() {
    let pair = Pair::new(15, 18);
    pair.on_both(
        "CREATE TABLE named (id int PRIMARY KEY); CREATE TABLE t (k regclass PRIMARY KEY, v int)",
    );
    pair.on_source("INSERT INTO t VALUES ('named', 1)");
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source("SET search_path = public; UPDATE t SET v = 2");
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}
