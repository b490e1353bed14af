/** Rows of one table, each reached through the tenant it belongs to. */
import type { DeepPartial, FindOptionsOrder, FindOptionsWhere, Repository } from 'typeorm';
import { And, In, LessThan, MoreThan, MoreThanOrEqual } from 'typeorm';
import type { FindOperator, QueryDeepPartialEntity } from 'typeorm';
import { type ColumnOfEntity, InsertStatements } from './insert-statements';
import type { Tenant, TenantEntity } from './tenant.entity';

/** One page of a list: at most `limit` rows before or after a cursor. */
export interface PageQuery<E extends TenantEntity = TenantEntity> {
  /** How many rows, 1 to 100. */
  readonly limit: number;
  /** Id of the last row of the page before: older rows follow. */
  readonly startingAfter?: string;
  /** Id of the first row of the page after: newer rows precede it. */
  readonly endingBefore?: string;
  /** Bounds on `created`: `from` is included, `before` is not. */
  readonly created?: { readonly from?: Date; readonly before?: Date };
  /** Further conditions. */
  readonly where?: FindOptionsWhere<E>;
}

/** Rows newest first, and whether more follow in the direction that was asked for. */
export interface RowPage<E> {
  readonly data: E[];
  readonly hasMore: boolean;
}

/** A cursor names no row of this tenant's. */
export class UnknownCursorError extends Error {
  /** @param table the table that was listed, e.g. `customers` */
  constructor(
    readonly parameter: 'starting_after' | 'ending_before',
    readonly cursor: string,
    readonly table: string,
  ) {
    super(`${parameter} names no row of ${table}`);
    this.name = 'UnknownCursorError';
  }
}

/**
 * A row is not as an earlier step of the same operation left it: a bug in this program. The client gets a
 * 500 that says nothing of it.
 */
export class UnexpectedRowError extends Error {
  /** @param table e.g. `charges` */
  constructor(
    readonly table: string,
    readonly id: string,
  ) {
    super(`The row ${id} of ${table} is not as the step before left it.`);
    this.name = 'UnexpectedRowError';
  }
}

/**
 * No method can be called without a tenant, and none returns or changes the row of another. A room's
 * repository extends this one and adds the statements that it alone needs.
 *
 * Two kinds of methods throw where there is no row. `…OrThrow` are for ids that a request names: the
 * error tells the client. `…Expected` are for rows that an earlier step of the same operation has stored
 * or reserved: a missing one is a bug.
 */
export abstract class TenantRepository<E extends TenantEntity> {
  /** By name and not `*`: a prepared statement fails once its result has other columns. */
  private readonly columns: string[];
  private readonly inserts = new InsertStatements();

  constructor(protected readonly rows: Repository<E>) {
    this.columns = rows.metadata.columns.map(({ propertyName }) => propertyName);
  }

  /** Stores a new row and returns it with the columns the database filled in. */
  async insert(
    tenant: Tenant,
    row: Omit<DeepPartial<E>, 'account' | 'livemode' | 'created'>,
  ): Promise<E> {
    const values = { ...row, ...this.owned(tenant) } as Record<string, unknown>;
    const { sql, given, filled } = this.inserts.of(this.rows, values);
    // Internals: columns-of-typeorm
    const { driver } = this.rows.manager.connection;
    const parameters = given.map((column) =>
      driver.preparePersistentValue(values[column.propertyName], column),
    );
    const [stored] = await this.rows.query<[Record<string, unknown>]>(sql, parameters);
    return Object.assign(this.rows.create(), values, this.hydrated(stored, filled));
  }

  async find(tenant: Tenant, id: string): Promise<E | null> {
    return this.rows.findOneBy(this.owned(tenant, { id }));
  }

  /**
   * Finds the row that a request names.
   * @param param the parameter that names the id; undefined where the path does
   * @throws the error of `missing` where there is no such row
   */
  async getOrThrow(tenant: Tenant, id: string, param?: string): Promise<E> {
    const row = await this.find(tenant, id);
    if (!row) throw this.missing(id, param);
    return row;
  }

  /**
   * Finds a row that an earlier step has stored.
   * @throws UnexpectedRowError where there is no such row
   */
  async getExpected(tenant: Tenant, id: string): Promise<E> {
    return (await this.find(tenant, id)) ?? this.unexpected(id);
  }

  /**
   * Locks a row: nobody else can change it before the caller's transaction ends. Rows that refer to it can
   * still be inserted, because its key never changes.
   */
  async lock(tenant: Tenant, id: string): Promise<E | null> {
    const where = this.owned(tenant, { id });
    return this.rows.findOne({ where, lock: { mode: 'for_no_key_update' } });
  }

  /**
   * Locks the row that a request names.
   * @throws the error of `missing` where there is no such row
   */
  async lockOrThrow(tenant: Tenant, id: string): Promise<E> {
    const row = await this.lock(tenant, id);
    if (!row) throw this.missing(id);
    return row;
  }

  /** The rows with these ids, in no particular order; ids that name nothing are left out. */
  async findMany(tenant: Tenant, ids: readonly string[]): Promise<E[]> {
    return ids.length === 0 ? [] : this.rows.findBy(this.owned(tenant, { id: In([...ids]) }));
  }

  /**
   * One conditional `UPDATE … RETURNING`: the row as it is afterwards, or null where none matched.
   *
   * @param patch columns to set; properties that are undefined stay as they are
   * @param onlyIf must hold of the row; the same statement checks it
   */
  async update(
    tenant: Tenant,
    id: string,
    patch: QueryDeepPartialEntity<E>,
    onlyIf: FindOptionsWhere<E> = {},
  ): Promise<E | null> {
    const criteria = this.owned(tenant, { ...onlyIf, id });
    const set = Object.fromEntries(
      Object.entries(patch).filter(([, value]) => value !== undefined),
    );
    if (Object.keys(set).length === 0) return this.rows.findOneBy(criteria);
    const { raw } = await this.rows.update(criteria, set as QueryDeepPartialEntity<E>, {
      returning: this.columns,
    });
    const [row] = raw as Record<string, unknown>[];
    return row ? this.hydrate(row) : null;
  }

  /**
   * Updates a row that an earlier step of the same operation has reserved or locked.
   * @throws UnexpectedRowError where none matched
   */
  async updateExpected(
    tenant: Tenant,
    id: string,
    patch: QueryDeepPartialEntity<E>,
    onlyIf: FindOptionsWhere<E> = {},
  ): Promise<E> {
    return (await this.update(tenant, id, patch, onlyIf)) ?? this.unexpected(id);
  }

  /**
   * Newest first by id. The cursor is a row's id and not an offset, so rows inserted or removed
   * meanwhile neither repeat nor hide any other.
   *
   * @throws UnknownCursorError when the cursor names no row of the tenant's
   */
  async page(tenant: Tenant, query: PageQuery<E>): Promise<RowPage<E>> {
    const { limit, startingAfter, endingBefore } = query;
    await this.requireCursor(tenant, 'starting_after', startingAfter);
    await this.requireCursor(tenant, 'ending_before', endingBefore);
    const backwards = endingBefore !== undefined && startingAfter === undefined;
    const where = this.owned(tenant, {
      ...query.where,
      ...allOf('id', [
        startingAfter === undefined ? undefined : LessThan(startingAfter),
        endingBefore === undefined ? undefined : MoreThan(endingBefore),
      ]),
      ...allOf('created', [
        query.created?.from && MoreThanOrEqual(query.created.from),
        query.created?.before && LessThan(query.created.before),
      ]),
    });
    const order = { id: backwards ? 'ASC' : 'DESC' } as FindOptionsOrder<E>;
    const found = await this.rows.find({ where, order, take: limit + 1 });
    const data = found.slice(0, limit);
    return { data: backwards ? data.toReversed() : data, hasMore: found.length > limit };
  }

  /**
   * Makes the error for an id that names no row of the tenant's.
   * @param param the parameter that names the id; undefined where the path does
   */
  abstract missing(id: string, param?: string): Error;

  /** @throws UnexpectedRowError for a row that is not as an earlier step left it */
  unexpected(id: string): never {
    throw new UnexpectedRowError(this.rows.metadata.tableName, id);
  }

  /** The tenant's columns come last, so that no condition handed in can widen them. */
  private owned(tenant: Tenant, conditions: object = {}): FindOptionsWhere<E> {
    const { account, livemode } = tenant;
    return { ...conditions, account, livemode } as unknown as FindOptionsWhere<E>;
  }

  private async requireCursor(
    tenant: Tenant,
    parameter: 'starting_after' | 'ending_before',
    cursor: string | undefined,
  ): Promise<void> {
    if (cursor === undefined) return;
    const known = await this.rows.existsBy(this.owned(tenant, { id: cursor }));
    if (!known) throw new UnknownCursorError(parameter, cursor, this.rows.metadata.tableName);
  }

  /** A row as the driver hands it out (columns by database name) as an entity. */
  private hydrate(row: Record<string, unknown>): E {
    return Object.assign(this.rows.create(), this.hydrated(row, this.rows.metadata.columns));
  }

  private hydrated(row: Record<string, unknown>, columns: ColumnOfEntity[]): object {
    const { driver } = this.rows.manager.connection;
    const values = columns.map((column) => [
      column.propertyName,
      driver.prepareHydratedValue(row[column.databaseName], column),
    ]);
    return Object.fromEntries(values) as object;
  }
}

function allOf<T>(property: string, operators: readonly (FindOperator<T> | undefined)[]): object {
  const present = operators.filter((operator) => operator !== undefined);
  return present.length === 0 ? {} : { [property]: And(...present) };
}
