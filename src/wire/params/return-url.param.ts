/**
 * The URL that a buyer is sent back to: a page, or an app by its own scheme ("If you'd prefer to redirect
 * to a mobile application, you can alternatively supply an application URI scheme",
 * https://docs.stripe.com/api/payment_intents/confirm#confirm_payment_intent-return_url). Browsers follow
 * it, so URLs that a browser executes or that a system opens by itself are refused.
 */
import { excerpt } from '../errors/api.errors';
import { Param, type ParamOptions } from './params';
import { Refusal, textOf } from './raw-values';

const MAX_LENGTH = 2048;

/**
 * Schemes that do not belong to one app. The first two lines execute the URL's content or show it as a
 * page. The third begins with the schemes that Chromium never hands to the system (`kDeniedSchemes` in
 * external_protocol_handler.cc). No list is complete, so an app's URL must also have `:/`, which most of
 * these schemes do not use.
 */
const RESERVED_SCHEMES = [
  'javascript jscript vbscript livescript mocha data blob filesystem file about view-source jar feed mhtml',
  'resource wyciwyg chrome devtools edge brave opera vivaldi webkit-fake-url applewebdata content',
  'afp disk disks hcp ie.http mk res shell nntp vnd.ms.radio its search search-ms',
  'ftp ftps sftp tftp ws wss ssh telnet rlogin tn3270 rdp vnc smb cifs nfs dav davs webdav ldap ldaps',
  'gopher news snews git svn rtsp rtsps rtmp mms urn cid mid tag acct dns magnet ipp ipps',
  'mailto tel telprompt callto sms smsto mmsto sip sips facetime facetime-audio imessage xmpp im irc ircs',
  'intent android-app android-resource market geo maps webcal webcals wtai',
  'itms app-settings prefs shortcuts workflow help applescript x-man-page man ghelp apt snap trash admin',
].flatMap((line) => line.split(' '));

/** Beginnings of reserved schemes: `chrome-extension`, `ms-msdt`, `web+coffee`, `microsoft.windows.camera`. */
const RESERVED_FAMILIES =
  '(?:chrome|moz|safari|webkit|edge|brave|ms|mso|itms|facetime|web|ext)[+-]|(?:x-apple|microsoft)[+.-]';

const SCHEME = '[a-z][a-z0-9+.-]';
const RESERVED = `(?:${RESERVED_SCHEMES.join('|').replaceAll('.', '\\.')}|(?:${RESERVED_FAMILIES})[a-z0-9+.-]*)`;
const reservedScheme = new RegExp(`^${RESERVED}$`);
/** The scheme has two letters or more: Windows opens `c:/…` as a drive. */
const appUrl = new RegExp(`^${SCHEME}+:/`, 'i');
const pageUrl = /^https?:\/\/[^/?#]/i;

/** Characters that browsers remove or convert, and characters that end an attribute in HTML. */
const UNSAFE_CHARACTER = /[\s\p{Cc}\p{Cf}\p{Cs}\\<>"]/u;

/** The same rules as one pattern for the OpenAPI document, for ASCII URLs with a lower-case scheme. */
const PATTERN = `^(?:https?://(?=[^/?#])|(?!(?:https?|${RESERVED}):)${SCHEME}+:/)[!#-;=?-\\[\\]-~]*$`;

/**
 * A URL to send a buyer back to: `https://…` or `http://…` with a host, or `scheme:/…` with an app's own
 * scheme, such as `com.example.app:/back` (RFC 8252, 7.1) or `myapp://back`. At most 2,048 UTF-16 units;
 * an accepted URL is not changed. The refusal is Stripe's `url_invalid`
 * (https://docs.stripe.com/error-codes#url-invalid).
 */
export function IsReturnUrl(options: ParamOptions = {}): PropertyDecorator {
  const description =
    'Where the buyer is sent afterwards: a page (http:// or https://), or an app by a scheme of its ' +
    'own, such as com.example.app:/back.';
  return Param(
    returnUrlOf,
    { type: 'string', minLength: 1, maxLength: MAX_LENGTH, pattern: PATTERN },
    { description, ...options },
  );
}

/** Reads the URL with the parser of browsers, once it has no character that this parser would change. */
function returnUrlOf(raw: unknown): string | Refusal {
  const text = textOf(raw, MAX_LENGTH);
  if (text instanceof Refusal) return text;
  if (UNSAFE_CHARACTER.test(text)) {
    return urlRefusal(
      (param) =>
        `write spaces, control and invisible characters, backslashes, double quotes, < and > in ${param} ` +
        'percent-encoded, a space as %20.',
    );
  }
  const scheme = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : '';
  const isWeb = scheme === 'http' || scheme === 'https';
  if (scheme !== '' && (isWeb ? pageUrl : appUrl).test(text) && !reservedScheme.test(scheme))
    return text;
  return urlRefusal((param) => {
    const reason = reservedScheme.test(scheme) ? ` ${scheme} is no app's own scheme.` : '';
    return (
      `${param} is ${excerpt(text)}.${reason} Send an http:// or https:// URL with a host, or one with a ` +
      "scheme of your app's own and a slash, such as com.example.app:/back."
    );
  });
}

function urlRefusal(reason: (param: string) => string): Refusal {
  return new Refusal((param) => `Not a valid URL: ${reason(param)}`, 'url_invalid');
}
