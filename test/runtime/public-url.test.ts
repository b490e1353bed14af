/** Where links lead: PUBLIC_URL, else the address that the server listens on. */
import { loadSettings } from '../../src/runtime';
import { PublicUrl } from '../../src/runtime/public-url';

const linkTo = (env: Record<string, string>) => new PublicUrl(loadSettings(env)).linkTo('/docs');

it.each([
  [{}, 'http://127.0.0.1:3000/docs'],
  [{ HOST: 'localhost', PORT: '80' }, 'http://localhost:80/docs'],
  [{ HOST: '0.0.0.0' }, 'http://127.0.0.1:3000/docs'],
  [{ HOST: '::' }, 'http://127.0.0.1:3000/docs'],
  [{ HOST: '::1' }, 'http://[::1]:3000/docs'],
  [{ PUBLIC_URL: 'https://pay.example.com' }, 'https://pay.example.com/docs'],
  [{ PUBLIC_URL: 'https://Example.com:8443/pay/' }, 'https://example.com:8443/pay/docs'],
])('%j makes %s', (env, url) => {
  expect(linkTo(env)).toBe(url);
});

it('a free port is known once the server listens, and PUBLIC_URL goes before it', () => {
  const free = new PublicUrl(loadSettings({ PORT: '0' }));
  expect(free.linkTo('/docs')).toBeUndefined();
  free.listensAt('http://127.0.0.1:4321');
  expect(free.linkTo('/docs')).toBe('http://127.0.0.1:4321/docs');
  const named = new PublicUrl(loadSettings({ PORT: '0', PUBLIC_URL: 'https://a.example' }));
  named.listensAt('http://127.0.0.1:4321');
  expect(named.linkTo('/docs')).toBe('https://a.example/docs');
});

it.each([
  'pay.example.com',
  '/pay',
  'ftp://pay.example.com',
  'https:pay.example.com',
  'https://',
  'https://pay.example.com/?a=b',
  'https://pay.example.com/?',
  'https://pay.example.com/#top',
  'https://user@pay.example.com',
  'https://user:secret@pay.example.com',
])('PUBLIC_URL %s stops the start in words, and is not repeated', (PUBLIC_URL) => {
  expect(() => loadSettings({ PUBLIC_URL })).toThrow(
    /^PUBLIC_URL must be an absolute URL like https:\/\/pay\.example\.com or .*fragment\.$/,
  );
});
