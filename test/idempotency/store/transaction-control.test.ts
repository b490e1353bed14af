/** Which texts would begin or end a transaction, as PostgreSQL reads them. */
import { transactionControlIn } from '../../../src/idempotency/store/postgres/transaction-control';

describe('R9a a text that would end the transaction', () => {
  it.each([
    'BEGIN',
    'begin;',
    '  \n\t Begin Work',
    'COMMIT',
    'commit and chain',
    'END',
    'end transaction',
    'ABORT',
    'ROLLBACK',
    'rollback;',
    'ROLLBACK AND CHAIN',
    'rollback work',
    'START TRANSACTION',
    'start   transaction isolation level serializable',
    'START/* */TRANSACTION',
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    '-- a comment\nCOMMIT',
    '/* a /* nested */ one */ COMMIT',
    '/**/commit/**/',
    'INSERT INTO a VALUES (1); COMMIT',
    'insert into a values (1);COMMIT;insert into a values (2)',
    "SELECT ';'; COMMIT",
    "SELECT 'it''s'; COMMIT",
    "SELECT E'it\\'s;'; COMMIT",
    'SELECT "a;b"; COMMIT',
    'SELECT $$;$$; COMMIT',
    'SELECT $x$ $$ ; $x$; COMMIT',
    "SELECT '\\'; COMMIT",
    'SELECT 1; -- one\n COMMIT',
    'SELECT 1; /* ; */ ROLLBACK',
    ';COMMIT',
  ])('is found: %s', (text) => {
    expect(transactionControlIn(text)).toEqual(expect.any(String));
    if (!text.includes(';')) expect(transactionControlIn(text, [])).toEqual(expect.any(String));
  });

  it.each([
    'SELECT 1',
    'select 1;',
    'UPDATE a SET b = CASE WHEN c THEN 1 ELSE 2 END',
    "INSERT INTO a VALUES ('; COMMIT')",
    "INSERT INTO a VALUES (E'\\'; COMMIT')",
    'INSERT INTO a VALUES ($$; COMMIT;$$)',
    'INSERT INTO a VALUES ($q$; COMMIT; $$ ; ROLLBACK $q$)',
    'SELECT "; COMMIT" FROM a',
    'SELECT 1; -- COMMIT',
    'SELECT 1 /* ; COMMIT */',
    'SAVEPOINT begin',
    'RELEASE SAVEPOINT x',
    'ROLLBACK TO x',
    'rollback to savepoint x',
    'ROLLBACK WORK TO SAVEPOINT x',
    'rollback  transaction\nto x',
    'PREPARE transaction_report AS SELECT 1',
    'COMMENT ON TABLE a IS $$commit$$',
    'CREATE TABLE commits (a int)',
    'DO $$ BEGIN PERFORM 1; END $$',
    'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $f$ SELECT 1; $f$',
    'begin_report',
    '',
  ])('is no: %s', (text) => {
    expect(transactionControlIn(text)).toBeUndefined();
  });

  it('is not looked for behind a semicolon where there are parameters: PostgreSQL refuses two statements', () => {
    expect(transactionControlIn('SELECT $1; COMMIT', [1])).toBeUndefined();
    expect(transactionControlIn('COMMIT', [1])).toBe('COMMIT');
  });
});
