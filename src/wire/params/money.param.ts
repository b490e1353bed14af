/** Amounts and currencies, as parameters and as text. */
import { excerpt } from '../errors/api.errors';
import { Param, type ParamOptions } from './params';
import { integerOf, Refusal } from './raw-values';

/** The smallest amount, in the currency's smallest unit. */
export const MIN_AMOUNT = 1;
/** The largest amount, in the currency's smallest unit. */
export const MAX_AMOUNT = 99_999_999;

/**
 * The currencies of ISO 4217 that are in use, by the number of decimals of their smallest unit. `Intl`
 * is no source for it: it gives the digits that people print (none for HUF, IDR or COP), while ISO 4217
 * gives these currencies two.
 */
const BY_DECIMALS: Readonly<Record<number, string>> = {
  0: 'bif clp djf gnf isk jpy kmf krw pyg rwf ugx uyi vnd vuv xaf xof xpf',
  2:
    'aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd ' +
    'cad cdf chf cny cop crc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd ' +
    'gtq gyd hkd hnl htg huf idr ils inr irr jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl mad ' +
    'mdl mga mkd mmk mnt mop mru mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php ' +
    'pkr pln qar ron rsd rub sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs ' +
    'tmt top try ttd twd tzs uah usd uyu uzs ved ves wst xcd xcg yer zar zmw zwg',
  3: 'bhd iqd jod kwd lyd omr tnd',
};

const DECIMALS: ReadonlyMap<string, number> = new Map(
  Object.entries(BY_DECIMALS).flatMap(([decimals, codes]) =>
    codes.split(' ').map((code) => [code, Number(decimals)] as const),
  ),
);

/** All accepted currencies: lower-case ISO 4217 codes. */
export const CURRENCIES: readonly string[] = [...DECIMALS.keys()].toSorted();

/**
 * An amount of money: an integer in the currency's smallest unit, from 1 to 99,999,999. Required by
 * default.
 */
export function IsAmount(options: ParamOptions = { required: true }): PropertyDecorator {
  const schema = { type: 'integer', minimum: MIN_AMOUNT, maximum: MAX_AMOUNT };
  const description = "An amount in the currency's smallest unit, e.g. cents.";
  return Param(
    (raw) => {
      const amount = integerOf(raw);
      if (amount instanceof Refusal) return amount;
      if (amount < MIN_AMOUNT) {
        return new Refusal(
          (param) => `Amount too small: ${param} must be at least ${MIN_AMOUNT} and is ${amount}.`,
          'amount_too_small',
        );
      }
      if (amount > MAX_AMOUNT) {
        return new Refusal(
          (param) => `Amount too large: ${param} must be at most ${MAX_AMOUNT} and is ${amount}.`,
          'amount_too_large',
        );
      }
      return amount;
    },
    schema,
    { description, ...options },
  );
}

/** A three-letter ISO 4217 code in either case; the value is lower case. Required by default. */
export function IsCurrency(options: ParamOptions = { required: true }): PropertyDecorator {
  const schema = { type: 'string', pattern: `^(${CURRENCIES.join('|')})$` };
  const description = 'A three-letter code of ISO 4217, lower case; upper case is accepted too.';
  return Param(
    (raw) => {
      const code = typeof raw === 'string' ? raw.toLowerCase() : '';
      if (DECIMALS.has(code)) return code;
      return new Refusal(
        () => `Invalid currency: ${excerpt(raw)}. These are supported: ${CURRENCIES.join(', ')}`,
      );
    },
    schema,
    { description, ...options },
  );
}

/**
 * The number of decimals of a currency's smallest unit: 2 for usd, 0 for jpy, 3 for bhd.
 *
 * @throws RangeError for a currency that is not accepted
 */
export function decimalsOf(currency: string): number {
  const decimals = DECIMALS.get(currency);
  if (decimals === undefined) throw new RangeError(`Unknown currency: ${currency}`);
  return decimals;
}

/** An amount as people write it: `10.99 USD`, `1099 JPY`, `1.099 BHD`. */
export function formatAmount(amount: number, currency: string): string {
  const decimals = decimalsOf(currency);
  const digits = String(Math.abs(amount)).padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = decimals === 0 ? '' : `.${digits.slice(-decimals)}`;
  return `${amount < 0 ? '-' : ''}${whole}${fraction} ${currency.toUpperCase()}`;
}
