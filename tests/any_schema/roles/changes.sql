-- Values and parents that move, in ways that a foreign key or a trigger of the destination would refuse,
-- or double, or extend to rows that stay as they are.
BEGIN;
UPDATE shop.customer SET email = 'moving' WHERE id = 2;
UPDATE shop.customer SET email = 'c2' WHERE id = 3;
UPDATE shop.customer SET email = 'c3' WHERE id = 2;
COMMIT;
-- The parent changes, its children do not.
UPDATE shop.invoice SET total = total * 2 WHERE id BETWEEN 10 AND 20;
UPDATE shop.customer SET email = email || '!' WHERE id BETWEEN 30 AND 40;
UPDATE shop.event SET what = 'seen' WHERE id BETWEEN 1 AND 40;
-- A child goes to another parent while the old one goes.
UPDATE shop.line SET invoice = 100, n = n + 10 WHERE invoice = 101;
DELETE FROM shop.invoice WHERE id = 101;
-- Cascades of every kind.
UPDATE shop.customer SET id = 1045 WHERE id = 45;
DELETE FROM shop.customer WHERE id IN (6, 7);
DELETE FROM shop.line WHERE invoice = 12 AND n = 1;
-- Swapped numbers under a deferred constraint.
BEGIN;
UPDATE shop.invoice SET number = 1 - number WHERE customer = 9 AND number IN (0, 1);
COMMIT;
-- From one partition into the other.
DELETE FROM shop.seen WHERE id = 50;
UPDATE shop.event SET day = '2025-06-01' WHERE id = 50;
DELETE FROM shop.seen WHERE id = 51;
UPDATE shop.event SET day = '2024-06-01' WHERE id = 51;
INSERT INTO shop.seen VALUES (51, 51, '2024-06-01');
INSERT INTO shop.told VALUES (2, 'b');
UPDATE shop.secret SET what = 'louder';
DELETE FROM shop.keyless WHERE v = 3;
INSERT INTO shop.keyless VALUES (11);
SELECT setval('shop.audit_id_seq', nextval('shop.audit_id_seq') + 100);
