//! Two databases as applications have them, which write into them while they move: film rental and music
//! shop. Both have a function `wrong()` that lists what contradicts itself.

use postgres::Client;

use super::writers::{Transaction, Writers};
use crate::support::pair::Pair;
use crate::support::{compare, thorough, version_pairs};

/// A database with its applications.
struct Application {
    schema: &'static str,
    /// Rows and all.
    sql: &'static str,
    /// Quoted.
    name: &'static str,
    /// What the applications call; `{n}` is another number each time.
    calls: &'static [&'static str],
    /// Partitions whose rows may be in another one on the other side.
    except: &'static [&'static str],
    /// Queries that must say the same on both sides.
    queries: &'static [&'static str],
}

const FILM_RENTAL: Application = Application {
    schema: "rental",
    sql: include_str!("film_rental.sql"),
    name: "rental",
    calls: &[
        "SELECT rental.rent(1 + {n} * 7 % 400, 1 + {n} % 300, {n})",
        "SELECT rental.rent(1 + {n} * 13 % 400, 1 + {n} * 3 % 300, {n})",
        "SELECT rental.give_back({n})",
        "SELECT rental.edit_film({n})",
        "SELECT rental.renew_customer(1 + {n} * 11 % 300)",
        "SELECT rental.give_back({n})",
    ],
    except: &[],
    queries: &[
        "SELECT * FROM rental.film_list ORDER BY film_id",
        "SELECT film_id, store_id, rental.film_in_stock(film_id, store_id) FROM rental.inventory GROUP BY 1, 2 ORDER BY 1, 2, 3",
        "SELECT film_id FROM rental.film WHERE fulltext @@ to_tsquery('pg_catalog.english', 'squirrel & !17') ORDER BY 1",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY rental.takings; SELECT * FROM rental.takings ORDER BY 1",
        "SELECT tableoid::regclass::text, count(*), sum(amount) FROM rental.payment GROUP BY 1 ORDER BY 1",
    ],
};

const MUSIC_SHOP: Application = Application {
    schema: "Shop",
    sql: include_str!("music_shop.sql"),
    name: "\"Shop\"",
    calls: &[
        "SELECT \"Shop\".buy(1 + {n} % 200, {n})",
        "SELECT \"Shop\".buy(1 + {n} * 7 % 200, {n})",
        "SELECT \"Shop\".cancel(1 + {n} * 5 % 200)",
        "SELECT \"Shop\".edit_playlist(1 + {n} % 20, {n} / 7)",
        "SELECT \"Shop\".reorganize({n})",
        "SELECT \"Shop\".edit_track({n})",
    ],
    except: &["\"Shop\".\"Vote 0\"", "\"Shop\".\"Vote 1\""],
    queries: &[
        "SELECT * FROM \"Shop\".\"Best Customers\" ORDER BY 1",
        "SELECT * FROM \"Shop\".\"Chain\" ORDER BY 1",
        "SELECT * FROM \"Shop\".\"Vote\" ORDER BY 1, 2",
        "SELECT sum(\"Minutes\"), sum(\"UnitPrice\") FROM \"Shop\".\"Track\"",
    ],
};

/// One call per transaction, now and then one that is taken back.
fn call(client: &mut Client, sql: &str, rolls_back: bool) -> Result<(), postgres::Error> {
    client.batch_execute(&format!("BEGIN; {sql}"))?;
    client.batch_execute(if rolls_back { "ROLLBACK" } else { "COMMIT" })
}

/// Another application was there first: what it took, or what it removed, is no mistake. A number that a
/// sequence gives out twice is one.
fn was_late(error: &postgres::Error) -> bool {
    let Some(error) = error.as_db_error() else {
        return false;
    };
    let constraint = error.constraint().unwrap_or_default();
    match error.code().code() {
        "23503" => true,
        "23505" => !constraint.ends_with("_pkey") && !constraint.starts_with("PK_"),
        _ => false,
    }
}

impl Application {
    fn writers(&self, pair: &Pair, follow: bool) -> Writers {
        let calls = self.calls;
        let writers = (0..4).map(|number| {
            Box::new(move |client: &mut Client, turn: usize| {
                let n = 4 * turn + number;
                let sql = calls[(turn * 5 + number + turn / 7) % calls.len()]
                    .replace("{n}", &n.to_string());
                match call(client, &sql, turn.is_multiple_of(17)) {
                    Err(error) if was_late(&error) => client.batch_execute("ROLLBACK"),
                    other => other,
                }
            }) as Transaction
        });
        Writers::start(pair, follow, writers.collect())
    }

    fn expect_sound(&self, database: &mut Client) {
        let sql = format!(
            "SELECT string_agg(wrong, E'\\n') FROM {}.wrong() AS wrong",
            self.name
        );
        let found: Option<String> = database.query_one(&sql, &[]).unwrap().get(0);
        assert_eq!(found, None, "{}", self.schema);
    }

    /// Writers that are refused stay away: both sides hold the same in the end.
    fn moves_step_by_step(&self, (source, destination): (u32, u32)) {
        let pair = Pair::new(source, destination);
        pair.on_source(self.sql);
        let writers = self.writers(&pair, false);
        writers.wait_for_more(20);
        pair.run(&["check", "--create-schema"]).expect(0);
        pair.run(&["init", "-q"]).expect(0);
        writers.wait_for_more(20);
        pair.run(&["copy", "-q", "--create-schema"]).expect(0);
        for most in ["10000", "3"] {
            writers.wait_for_more(30);
            pair.run(&["sync", "-q", "--max-pending", most]).expect(0);
            // Whatever a cycle has brought is one moment of the source.
            self.expect_sound(&mut pair.destination_client());
        }
        writers.hold_still();
        pair.run(&["sync", "-q"]).expect(0);
        compare::assert_equal_except(&pair, self.except);
        writers.go_on();
        pair.run(&["verify", "-q"]).expect(0);
        pair.run(&["switch", "-q"]).expect(0);
        writers.wait_until_refused();
        writers.stop();
        self.expect_same(&pair);
    }

    fn expect_same(&self, pair: &Pair) {
        // What a refused writer has drawn from a sequence means nothing.
        let found: Vec<String> = compare::differences(pair, self.except)
            .into_iter()
            .filter(|difference| !difference.starts_with("sequence "))
            .collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
        for query in self.queries {
            let destination = pair.on_destination(query);
            // The fence has nothing against readers.
            assert_eq!(pair.on_source(query), destination, "{query}");
            assert_ne!(destination, "", "{query}");
        }
        if (pair.source.version() < 15) == (pair.destination.version() < 15) {
            compare::assert_same_schema(pair);
        }
        self.expect_sound(&mut pair.destination_client());
    }

    /// One command, and writers that are refused go on at the destination.
    fn moves_in_one_go(&self) {
        let pair = Pair::new(15, 18);
        pair.on_source(self.sql);
        let writers = self.writers(&pair, true);
        writers.wait_for_more(20);
        pair.run(&["run", "-q", "--create-schema"]).expect(0);
        writers.wait_until_refused();
        writers.wait_for_more(60);
        assert!(writers.done_after() > 30);
        writers.stop();
        for database in [&mut pair.source_client(), &mut pair.destination_client()] {
            self.expect_sound(database);
        }
    }
}

#[test]
fn film_rental_moves_while_films_are_rented() {
    FILM_RENTAL.moves_in_one_go();
    let all = if thorough() {
        version_pairs()
    } else {
        vec![(15, 18)]
    };
    for versions in all {
        FILM_RENTAL.moves_step_by_step(versions);
    }
}

#[test]
fn music_shop_moves_while_music_is_sold() {
    MUSIC_SHOP.moves_in_one_go();
    MUSIC_SHOP.moves_step_by_step((15, 18));
}
