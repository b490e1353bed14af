import { ApiError } from '../../../src/client';
import { client } from './payment';
import type { Order } from './shop';

export async function ask(order: Order): Promise<'never arrived' | 'running' | 'finished'> {
  try {
    const { state } = await client.idempotencyKeys.retrieve(`order-${order.id}`);
    return state;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return 'never arrived';
    throw error;
  }
}
