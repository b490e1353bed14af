/** Keys and hashes by the Web Crypto API. */

type Content = NonNullable<ConstructorParameters<typeof Response>[0]>;

/** A new idempotency key: a random UUID. */
export function newKey(): string {
  return webCrypto().randomUUID();
}

/** SHA-256 of text (as UTF-8) or of a body, one character for each byte. */
export async function sha256(data: Content): Promise<string> {
  const isText = typeof data === 'string';
  const bytes = isText ? new TextEncoder().encode(data) : await new Response(data).arrayBuffer();
  const hash = await webCrypto().subtle.digest('SHA-256', bytes);
  return String.fromCharCode(...new Uint8Array(hash));
}

function webCrypto(): typeof globalThis.crypto {
  const { crypto } = globalThis;
  // `subtle` and `randomUUID` come and go together.
  if (crypto?.subtle !== undefined) return crypto;
  throw new TypeError(
    '@paidonce/client makes keys with the Web Crypto API, which a browser gives to secure pages alone: ' +
      'serve this page over https, or from localhost.',
  );
}
