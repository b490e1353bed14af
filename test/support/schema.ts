/** Describes the schema that migrations have made, as lines that can be compared. */

/**
 * Every column with its type, collation and default, every constraint, index, table option, trigger and
 * sequence, one line each, sorted; TypeORM's own table of migrations apart.
 *
 * @param query the rows of a statement
 * @param schemas their names
 */
export async function schemaOf(
  query: (sql: string) => Promise<{ line: string }[]>,
  schemas: readonly string[] = ['public', 'jobs'],
): Promise<string[]> {
  const names = schemas.map((name) => `'${name}'`).join(', ');
  const rows = await query(`
    WITH relations AS (
      SELECT oid, oid::regclass AS name, relkind, reloptions, relpersistence FROM pg_class
      WHERE relnamespace = ANY (ARRAY(SELECT oid FROM pg_namespace WHERE nspname IN (${names})))
        AND relkind <> 'i' AND relname NOT IN ('migrations', 'migrations_id_seq')
    )
    SELECT format('relation %s %s %s %s', name, relkind, relpersistence, reloptions) AS line
    FROM relations
    UNION ALL
    SELECT format('column %s.%s %s%s%s%s', r.name, a.attname, format_type(a.atttypid, a.atttypmod),
      ' COLLATE ' || c.collname, CASE WHEN a.attnotnull THEN ' NOT NULL' END,
      ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
    FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND r.relkind <> 'S'
    LEFT JOIN pg_collation c ON c.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('constraint %s %s %s %s', r.name, conname, pg_get_constraintdef(k.oid), convalidated)
    FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid
    UNION ALL
    SELECT format('index %s valid %s', pg_get_indexdef(indexrelid), indisvalid AND indisready)
    FROM relations r JOIN pg_index i ON i.indrelid = r.oid
    UNION ALL
    SELECT format('index %s collates %s', i.indexrelid::regclass, array_agg(c.collname ORDER BY place))
    FROM relations r JOIN pg_index i ON i.indrelid = r.oid,
      unnest(i.indcollation) WITH ORDINALITY AS collations (used, place)
    LEFT JOIN pg_collation c ON c.oid = used
    GROUP BY i.indexrelid
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(t.oid))
    FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT tgisinternal`);
  return rows.map(({ line }) => line).toSorted();
}
