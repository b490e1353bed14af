import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { TenantRepository } from '../database';
import { RefundEntity } from './refund.entity';

@Injectable()
export class RefundsRepository extends TenantRepository<RefundEntity> {
  constructor(@InjectRepository(RefundEntity) rows: Repository<RefundEntity>) {
    super(rows);
  }
}
