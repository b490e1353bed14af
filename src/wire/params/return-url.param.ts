/**
 * Where a buyer is sent back to: a page, or an app by the scheme it has registered. "If you'd prefer to
 * redirect to a mobile application, you can alternatively supply an application URI scheme"
 * (https://docs.stripe.com/api/payment_intents/confirm#confirm_payment_intent-return_url). Browsers
 * follow it, so nothing may stand there that a browser runs or that a system opens by itself.
 */
import { excerpt } from '../errors/api.errors';
import { Param, type ParamOptions } from './params';
import { Refusal, textOf } from './raw-values';

const MAX_LENGTH = 2048;

/**
 * Schemes that are no app's own, by who takes them. The first two lines are the ones that run what the
 * URL holds or show it as a page; the third begins with what Chromium never hands to the system
 * (`kDeniedSchemes` in external_protocol_handler.cc). A list is never complete, which is why an app's
 * URL must have `:/` besides: most of these have another form.
 */
const TAKEN = [
  'javascript jscript vbscript livescript mocha data blob filesystem file about view-source jar feed mhtml',
  'resource wyciwyg chrome devtools edge brave opera vivaldi webkit-fake-url applewebdata content',
  'afp disk disks hcp ie.http mk res shell nntp vnd.ms.radio its search search-ms',
  'ftp ftps sftp tftp ws wss ssh telnet rlogin tn3270 rdp vnc smb cifs nfs dav davs webdav ldap ldaps',
  'gopher news snews git svn rtsp rtsps rtmp mms urn cid mid tag acct dns magnet ipp ipps',
  'mailto tel telprompt callto sms smsto mmsto sip sips facetime facetime-audio imessage xmpp im irc ircs',
  'intent android-app android-resource market geo maps webcal webcals wtai',
  'itms app-settings prefs shortcuts workflow help applescript x-man-page man ghelp apt snap trash admin',
].flatMap((line) => line.split(' '));

/** What begins so is taken as well: `chrome-extension`, `ms-msdt`, `web+coffee`, `microsoft.windows.camera`. */
const TAKEN_FAMILIES =
  '(?:chrome|moz|safari|webkit|edge|brave|ms|mso|itms|facetime|web|ext)[+-]|(?:x-apple|microsoft)[+.-]';

const SCHEME = '[a-z][a-z0-9+.-]';
const NO_APP = `(?:${TAKEN.join('|').replaceAll('.', '\\.')}|(?:${TAKEN_FAMILIES})[a-z0-9+.-]*)`;
const isTaken = new RegExp(`^${NO_APP}$`);
/** A name of one letter is a drive of Windows, whose system opens `c:/…`. */
const isApp = new RegExp(`^${SCHEME}+:/`, 'i');
const isPage = /^https?:\/\/[^/?#]/i;

/** What browsers remove or read as something else, and what ends an attribute of a page. */
const ENCODED = /[\s\p{Cc}\p{Cf}\p{Cs}\\<>"]/u;

/** The same as one pattern, for URLs in ASCII with a scheme in lower case. */
const PATTERN = `^(?:https?://(?=[^/?#])|(?!(?:https?|${NO_APP}):)${SCHEME}+:/)[!#-;=?-\\[\\]-~]*$`;

/**
 * A URL to send a buyer back to: `https://…` or `http://…` with a host, or `scheme:/…` with the own
 * scheme of an app, such as `com.example.app:/back` (RFC 8252, 7.1) or `myapp://back`. At most 2,048
 * UTF-16 units; what is accepted is kept as it was written. Refused with Stripe's `url_invalid`
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

/** Decided by the parser that browsers have, on a text that holds nothing it would change first. */
function returnUrlOf(raw: unknown): string | Refusal {
  const text = textOf(raw, MAX_LENGTH);
  if (text instanceof Refusal) return text;
  if (ENCODED.test(text)) {
    return refused(
      (param) =>
        `write spaces, control and invisible characters, backslashes, double quotes, < and > in ${param} ` +
        'percent-encoded, a space as %20.',
    );
  }
  const scheme = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : '';
  const isWeb = scheme === 'http' || scheme === 'https';
  if (scheme !== '' && (isWeb ? isPage : isApp).test(text) && !isTaken.test(scheme)) return text;
  return refused((param) => {
    const reason = isTaken.test(scheme) ? ` ${scheme} is no app's own scheme.` : '';
    return (
      `${param} is ${excerpt(text)}.${reason} Send an http:// or https:// URL with a host, or one with a ` +
      "scheme of your app's own and a slash, such as com.example.app:/back."
    );
  });
}

function refused(reason: (param: string) => string): Refusal {
  return new Refusal((param) => `Not a valid URL: ${reason(param)}`, 'url_invalid');
}
