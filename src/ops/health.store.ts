import type { DataSource } from 'typeorm';

/** True once the database has answered the smallest question there is; never rejects. */
export function databaseAnswers(dataSource: DataSource): Promise<boolean> {
  return dataSource.query('SELECT 1').then(
    () => true,
    () => false,
  );
}
