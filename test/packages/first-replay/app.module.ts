import { IdempotencyModule } from '@paidonce/idempotency';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Order, OrdersController } from './orders.controller';

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env['DATABASE_URL'] ?? 'postgres://localhost/shop',
      entities: [Order],
      synchronize: true, // for a first try
    }),
    TypeOrmModule.forFeature([Order]),
    IdempotencyModule.forRoot({
      // Who sent the request. With logins: the account that your guard has set on it.
      scope: () => 'everybody',
      createSchema: true,
    }),
  ],
  controllers: [OrdersController],
})
export class AppModule {}
