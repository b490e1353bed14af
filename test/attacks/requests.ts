/** Requests as the bytes that an attacker sends. */
import type { Part } from './raid';

export const FORM = 'content-type: application/x-www-form-urlencoded\r\n';
export const JSON_TYPE = 'content-type: application/json\r\n';

/** A payment as a form. */
export const PAYMENT = 'amount=2000&currency=usd&payment_method=pm_card_visa&confirm=true';

/** @param headers lines, each with its end */
export const head = (method: string, path: string, headers = ''): string =>
  `${method} ${path} HTTP/1.1\r\nhost: paidonce\r\n${headers}\r\n`;

/** A whole request with a body. */
export const post = (path: string, headers: string, body: string): string =>
  head('POST', path, `${headers}content-length: ${Buffer.byteLength(body)}\r\n`) + body;

/** A text again and again until it has so many bytes. */
export const repeated = (text: string, bytes: number): Part & { text: string; times: number } => ({
  text,
  times: Math.max(1, Math.floor(bytes / Buffer.byteLength(text))),
});
