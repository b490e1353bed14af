/** Requests to the small application, and what comes back. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { thingsApp } from './things-app.fixture';

export const FORM = 'application/x-www-form-urlencoded';
export const JSON_TYPE = 'application/json';

export interface Reply {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: {
    readonly received?: Record<string, unknown>;
    readonly error?: { type: string; message: string; code?: string; param?: string };
  };
}

let app: NestFastifyApplication;

/** To be called once in a test file. */
export function startTheThings(): void {
  beforeAll(async () => {
    app = await thingsApp();
  });
  afterAll(() => app.close());
}

export async function send(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  payload?: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const res = await app.inject({ method, url, payload, headers });
  return { status: res.statusCode, headers: res.headers, body: res.json() };
}
export const form = (payload: string | Buffer, type = FORM) =>
  send('POST', '/v1/things', payload, { 'content-type': type });
export const json = (payload: string | Buffer, type = JSON_TYPE) =>
  send('POST', '/v1/things', payload, { 'content-type': type });
