/** All migrations of the database, in the order in which they run. */
import type { Type } from '@nestjs/common';
import type { MigrationInterface } from 'typeorm';
import { CreateAccounts1764000001000 } from '../accounts';
import { CreateCustomers1764000002000 } from '../customers';
import { OneCollation1764000006000 } from '../database';
import { CreateIdempotencyKeys1764000000000 } from '../idempotency';
import { CreateJobReports1764000005000 } from '../jobs';
import { CreatePayments1764000003000 } from '../payments';
import { CreateRefunds1764000004000 } from '../refunds';

/**
 * Each migration stands in the folder whose tables it makes, or in `database/` where it changes the tables of
 * several folders. Migrations of a release never change: databases have run them.
 */
export const migrations: Type<MigrationInterface>[] = [
  CreateIdempotencyKeys1764000000000,
  CreateAccounts1764000001000,
  CreateCustomers1764000002000,
  CreatePayments1764000003000,
  CreateRefunds1764000004000,
  CreateJobReports1764000005000,
  OneCollation1764000006000,
];
