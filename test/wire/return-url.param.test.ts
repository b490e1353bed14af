/** Which URLs a buyer can be sent back to: by example, and what holds for every text. */
import 'reflect-metadata';
import fc from 'fast-check';
import { paramsOf } from '../../src/wire/params/params';
import { Refusal } from '../../src/wire/params/raw-values';
import { IsReturnUrl } from '../../src/wire/params/return-url.param';

class Params {
  @IsReturnUrl()
  return_url?: string;
}

const { coerce: take } = paramsOf(Params)[0]!;
const isTaken = (text: string) => !(take(text) instanceof Refusal);

/** A text with what a browser would remove or ignore before it looks at the scheme. */
const DISGUISED = [
  ' javascript:alert(1)',
  '\tjavascript://shop.example/%0aalert(1)',
  'java\tscript://shop.example/%0aalert(1)',
  'java\nscript://shop.example/%0aalert(1)',
  'java\r\nscript:/alert(1)',
  '\u0001javascript:/alert(1)',
  '\u001fjavascript:/alert(1)',
  'javascript\n:/alert(1)',
  'JaVaScRiPt://shop.example/%0aalert(1)',
  '\u00a0javascript:/alert(1)',
  '\ufeffjavascript:/alert(1)',
  'java\u00adscript:/alert(1)',
  'java\u200bscript:/alert(1)',
  'https://shop.example/back\u202egpj.exe',
  'https://shop.example/ back',
  'https://shop.example/back\n',
];

it.each([
  'https://shop.example',
  'https://shop.example/back?order=1&x=%20#paid',
  'http://127.0.0.1:3000/back',
  'http://localhost:3000/back',
  'http://[::1]:3000/back',
  'HTTPS://Shop.Example/Back',
  'https://shöp.example/zurück',
  'https://shop.example/back?payment={PAYMENT_INTENT}',
  'https://shop.example/back?next=javascript:alert(1)',
  'https://shop.example:8443/back',
  'myapp://back',
  'myapp://',
  'MyApp://back',
  'my-app2+test://stripe-redirect',
  'payments-example://safepay/',
  'com.example.app:/back',
  'com.example.app://back?order=1',
  'ms.example.app:/back',
  `https://shop.example/${'a'.repeat(2048 - 21)}`,
])('%s is taken, as it was written', (text) => {
  expect(take(text)).toBe(text);
});

it.each([
  ...DISGUISED,
  'javascript:alert(1)',
  'javascript:/alert(1)',
  'javascript://shop.example/%0aalert(1)',
  'vbscript:/msgbox(1)',
  'data:text/html,<script>alert(1)</script>',
  'data:/text/html;base64,PHNjcmlwdD4=',
  'blob:https://shop.example/1',
  'filesystem:https://shop.example/temporary/1',
  'file:///etc/passwd',
  'c:/windows/system32/calc.exe',
  '\\\\shop.example\\share',
  'about:/blank',
  'view-source:https://shop.example',
  'view-source:/shop.example',
  'ws://shop.example/back',
  'wss://shop.example/back',
  'ftp://shop.example/back',
  'mailto:/ada@example.com',
  'tel:/911',
  'sms://+15550100',
  'intent://shop.example/#Intent;scheme=http;end',
  'android-app://com.example.app/back',
  'chrome://settings',
  'chrome-extension://abcdefgh/page.html',
  'moz-extension://abcdefgh/page.html',
  'ms-msdt:/id',
  'search-ms:/query',
  'ms-settings:/privacy',
  'microsoft.windows.camera:/',
  'x-apple.systempreferences:/x',
  'itms-services://?action=download-manifest',
  'shortcuts://run-shortcut',
  'web+coffee://shop.example',
  'jar:/https://shop.example',
  'smb://shop.example/share',
  'ssh://shop.example',
  'shop.example/back',
  '//shop.example/back',
  '/back',
  'back',
  'localhost:3000/back',
  'myapp:back',
  'myapp',
  ':/back',
  '1app://back',
  'my_app://back',
  'https:shop.example/back',
  'https:/shop.example/back',
  'https:///shop.example/back',
  'https://',
  'https://?back',
  'https://#back',
  'https:\\\\shop.example\\back',
  'https://shop.example\\@evil.example/',
  'https://shop.example:99999/back',
  'https://1.2.3.999/back',
  'https://shop .example/back',
  'https://shop.example/"onclick="alert(1)',
  'https://shop.example/<script>',
  `https://shop.example/${'a'.repeat(2049 - 21)}`,
])('%j is refused', (text) => {
  expect(isTaken(text)).toBe(false);
});

it.each([
  ['javascript:/alert(1)', 'javascript is no app'],
  ['shop.example/back', 'https:// URL with a host'],
  [' https://shop.example/back', 'percent-encoded'],
])("%j is refused in words, with Stripe's code", (text, words) => {
  const refused = take(text) as Refusal;
  expect(refused.code).toBe('url_invalid');
  const message = refused.message('return_url');
  expect(message).toMatch(/^Not a valid URL: .*return_url/);
  expect(message).toContain(words);
});

/** Written down here once more: a name that is lost from the one list is missed by the other. */
const DANGEROUS =
  /^(javascript|vbscript|livescript|data|blob|file|filesystem|about|view-source|wss?|ftps?|mailto|tel|sms|intent|android-app|content|jar|shell|search|search-ms|(chrome|moz|ms|web|ext|itms)[+-].*|chrome):$/;

const NAMES =
  'javascript vbscript data blob file filesystem about view-source ws wss ftp mailto tel sms intent ' +
  'chrome ms-msdt web+a https myapp';
const scheme = fc.oneof(
  fc.constantFrom(...NAMES.split(' ')),
  fc.stringMatching(/^[a-z][a-z0-9+.-]{0,8}$/),
);
/** Mostly nothing; else what browsers remove, what they fold, and what only looks like something. */
const noise = fc.oneof(
  { weight: 30, arbitrary: fc.constant('') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('\t', '\n', '\r', ' ', '\0', '\u001f', '\u200b', '\ufeff', 'ſ', 'K'),
  },
);
const disguise = fc
  .tuple(scheme, fc.array(fc.tuple(noise, fc.boolean()), { minLength: 24, maxLength: 24 }))
  .map(([name, changes]) =>
    Array.from(name)
      .map((letter, at) => {
        const [before, upper] = changes[at] ?? ['', false];
        return before + (upper ? letter.toUpperCase() : letter);
      })
      .join(''),
  );
const url = fc
  .tuple(
    noise,
    disguise,
    fc.constantFrom(':', ':/', '://', ':///', ':\\', ':\t/', '&colon;', '%3a'),
    fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 12 })),
  )
  .map((parts) => parts.join(''));

it('no text that is taken leads a browser to anything but a page with a host or an app', () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.oneof(url, fc.string({ unit: 'binary' }), fc.webUrl()), (text) => {
      if (!isTaken(text)) return;
      taken += 1;
      const seen = new URL(text);
      expect(seen.protocol).not.toMatch(DANGEROUS);
      // A link in a page, which has a base, is read as the same thing.
      expect(new URL(text, 'https://paidonce.example/checkout').href).toBe(seen.href);
      // No older parser sees another scheme either: it stands at the very beginning, before a slash.
      expect(text.toLowerCase()).toMatch(/^[a-z][a-z0-9+.-]+:\/[^\s\\<>"]*$/);
      expect(text.toLowerCase().startsWith(`${seen.protocol}/`)).toBe(true);
      if (/^https?:$/.test(seen.protocol)) expect(seen.hostname).not.toBe('');
    }),
    { numRuns: 20_000 },
  );
  expect(taken).toBeGreaterThan(1_000);
});
