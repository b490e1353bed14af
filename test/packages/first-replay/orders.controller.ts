import { Idempotent } from '@paidonce/idempotency';
import { Body, Controller, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryGeneratedColumn, Repository } from 'typeorm';

@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column()
  item!: string;
}

@Controller('orders')
export class OrdersController {
  constructor(@InjectRepository(Order) private readonly orders: Repository<Order>) {}

  @Post()
  @Idempotent()
  place(@Body() body: { item: string }): Promise<Order> {
    return this.orders.save({ item: body.item }); // committed together with the response
  }
}
