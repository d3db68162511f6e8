-- Tables on which something acts whenever a row is written: foreign keys of every action, triggers in
-- every state, a rule. Created by the role that owns them.
CREATE SCHEMA shop;

CREATE TABLE shop.audit (
    id bigserial PRIMARY KEY,
    what text NOT NULL
);
-- As the owner of the function, whoever writes.
CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO shop.audit (what) VALUES (TG_TABLE_NAME || ' ' || TG_NAME || ' ' || TG_OP);
    RETURN NULL;
END
$$;
CREATE FUNCTION shop.price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.total := NEW.total + 1;
    RETURN NEW;
END
$$;
CREATE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'trigger % fired', TG_NAME;
END
$$;

CREATE TABLE shop.customer (
    id int PRIMARY KEY,
    email text NOT NULL UNIQUE,
    boss int CONSTRAINT customer_boss REFERENCES shop.customer ON DELETE SET NULL
);
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON shop.customer
    FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER noted_always AFTER INSERT ON shop.customer
    FOR EACH STATEMENT EXECUTE FUNCTION shop.note();
ALTER TABLE shop.customer ENABLE ALWAYS TRIGGER noted_always;
CREATE TRIGGER sleeping BEFORE INSERT ON shop.customer FOR EACH ROW EXECUTE FUNCTION shop.refuse();
ALTER TABLE shop.customer DISABLE TRIGGER sleeping;

CREATE TABLE shop.invoice (
    id int PRIMARY KEY,
    customer int NOT NULL
        CONSTRAINT invoice_customer REFERENCES shop.customer ON DELETE CASCADE ON UPDATE CASCADE,
    number int,
    total numeric NOT NULL,
    UNIQUE (customer, number) DEFERRABLE INITIALLY DEFERRED
);
CREATE TRIGGER priced BEFORE INSERT OR UPDATE ON shop.invoice FOR EACH ROW EXECUTE FUNCTION shop.price();
CREATE CONSTRAINT TRIGGER noted_later AFTER INSERT OR DELETE ON shop.invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER noted_truncate AFTER TRUNCATE ON shop.invoice
    FOR EACH STATEMENT EXECUTE FUNCTION shop.note();

CREATE TABLE shop.line (
    invoice int
        CONSTRAINT line_invoice REFERENCES shop.invoice ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    n int,
    item text,
    PRIMARY KEY (invoice, n)
);
COMMENT ON CONSTRAINT line_invoice ON shop.line IS 'It''s a line of that one';
CREATE TABLE shop.remark (
    id int PRIMARY KEY,
    invoice int,
    n int,
    about int DEFAULT 1 CONSTRAINT remark_customer REFERENCES shop.customer ON DELETE SET DEFAULT
        ON UPDATE CASCADE,
    CONSTRAINT remark_line FOREIGN KEY (invoice, n) REFERENCES shop.line MATCH FULL ON DELETE SET NULL
);
-- Not valid, and not going to be.
ALTER TABLE shop.remark ADD CONSTRAINT remark_old FOREIGN KEY (n) REFERENCES shop.customer NOT VALID;

CREATE TABLE shop.event (
    id int,
    day date,
    what text,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);
CREATE TABLE shop.event_old PARTITION OF shop.event FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE shop.event_new PARTITION OF shop.event FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);
CREATE TRIGGER noted AFTER INSERT OR DELETE ON shop.event FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TRIGGER noted_new AFTER INSERT ON shop.event_new FOR EACH ROW EXECUTE FUNCTION shop.note();
CREATE TABLE shop.seen (
    id int PRIMARY KEY,
    event int,
    day date,
    CONSTRAINT seen_event FOREIGN KEY (event, day) REFERENCES shop.event ON DELETE CASCADE
);

CREATE TABLE shop.told (id int PRIMARY KEY, what text);
CREATE RULE tell AS ON INSERT TO shop.told DO ALSO INSERT INTO shop.audit (what) VALUES ('told');
CREATE RULE keep AS ON DELETE TO shop.told DO INSTEAD NOTHING;
CREATE TABLE shop.secret (id int PRIMARY KEY, what text);
CREATE POLICY nobody ON shop.secret USING (false);
ALTER TABLE shop.secret ENABLE ROW LEVEL SECURITY;
CREATE TABLE shop.keyless (v int);
CREATE TRIGGER noted AFTER INSERT ON shop.keyless FOR EACH ROW EXECUTE FUNCTION shop.note();
