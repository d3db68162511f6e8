-- The tables of the writers that testify. Loaded into the source before they start.
CREATE SCHEMA workload;

-- The sum of all balances never changes, and each balance follows from the transfers.
CREATE TABLE workload.account (
    id int PRIMARY KEY,
    balance bigint NOT NULL
);
INSERT INTO workload.account SELECT i, 1000 FROM generate_series(1, 50) i;

CREATE TABLE workload.transfer (
    id text PRIMARY KEY,
    payer int NOT NULL REFERENCES workload.account,
    payee int NOT NULL REFERENCES workload.account,
    amount bigint NOT NULL
);

-- Append-only. The id comes from the client and has no unique index, so that a row that arrives twice shows.
CREATE TABLE workload.journal (
    entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL,
    written timestamptz NOT NULL DEFAULT clock_timestamp(),
    note text
);

-- Hot rows: every increment counts.
CREATE TABLE workload.counter (
    id int PRIMARY KEY,
    n bigint NOT NULL DEFAULT 0
);
INSERT INTO workload.counter SELECT i FROM generate_series(1, 3) i;

-- Rows that come and go under the same key; each is written by one writer only.
CREATE TABLE workload.slot (
    writer int NOT NULL,
    number int NOT NULL,
    content text NOT NULL UNIQUE,
    PRIMARY KEY (writer, number)
);
