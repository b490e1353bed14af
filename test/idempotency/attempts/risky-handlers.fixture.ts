/** Handlers that misuse the database, or see it fail, and the tables they write to. */
import { Body, Controller, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { DataSource, type Repository } from 'typeorm';
import { Idempotent, outsideTransaction } from '../../../src/idempotency';
import { Order, type Shop, Watch } from '../shop.fixture';

@Controller('risky')
export class RiskyController {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly watch: Watch,
  ) {}

  /** Swallows the error of a statement: the transaction is aborted all the same. */
  @Post('swallows')
  @Idempotent()
  async swallows() {
    this.watch.runs += 1;
    await this.orders.insert({ account: 'swallowed', amount: 1 });
    await this.dataSource.query('SELECT 1 / 0').catch(() => undefined);
    return { done: true };
  }

  @Post('twice-the-same')
  @Idempotent()
  async twiceTheSame(@Body() body: { amount: number }) {
    this.watch.runs += 1;
    await this.dataSource.query('INSERT INTO serials (number) VALUES ($1)', [body.amount]);
    return { done: true };
  }

  @Post('deferred')
  @Idempotent()
  async deferred(@Body() body: { amount: number }) {
    this.watch.runs += 1;
    await this.dataSource.query('INSERT INTO deferreds (number) VALUES ($1)', [body.amount]);
    return { done: true };
  }

  /** Reads what another transaction writes meanwhile. */
  @Post('serializable')
  @Idempotent()
  async serializable(@Body() body: { hold?: string }) {
    this.watch.runs += 1;
    const [{ sum }] = await this.dataSource.query<[{ sum: number }]>(
      'SELECT coalesce(sum(number), 0)::int AS sum FROM serials',
    );
    await this.watch.hold(body.hold);
    await this.dataSource.query('INSERT INTO serials (number) VALUES ($1)', [1_000 + sum]);
    return { sum };
  }

  @Post('second-connection')
  @Idempotent()
  async secondConnection() {
    await this.orders.insert({ account: 'second', amount: 1 });
    await outsideTransaction(() => this.orders.insert({ account: 'second', amount: 2 }));
    return { done: true };
  }
}

export async function createRiskyTables({ dataSource }: Shop): Promise<void> {
  await dataSource.query('CREATE TABLE serials (number int PRIMARY KEY)');
  await dataSource.query(
    'CREATE TABLE deferreds (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)',
  );
}
