/** The rows of `refunds`. */
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { TenantRepository } from '../database';
import { ResourceMissingError } from '../wire';
import { RefundEntity } from './refund.entity';

@Injectable()
export class RefundsRepository extends TenantRepository<RefundEntity> {
  constructor(@InjectRepository(RefundEntity) rows: Repository<RefundEntity>) {
    super(rows);
  }

  override missing(id: string, param?: string): ResourceMissingError {
    return new ResourceMissingError('refund', id, param);
  }
}
