/**
 * Whether a text holds something that looks like a card number (PAN), so that a request with one is
 * refused before it is stored, logged or hashed.
 *
 * The rule, for the text in NFKC (UAX #15): 13 to 19 digits that begin with 2 to 6 (every card
 * network's numbers do) and pass the Luhn check, either in one piece or in groups of at least three
 * digits set apart by single spaces or dashes (the last group may be shorter), and touching no letter,
 * digit or underscore.
 *
 * What it lets through on purpose: amounts (at most 8 digits); unix timestamps in any unit (13 and
 * more digits begin with 1 until the year 2033); phone numbers written with `+` or `00` (up to 15
 * digits); dates and times (groups of two digits); ids and UUIDs, whose digits touch letters or
 * stand in longer runs. One in ten other numbers of that length passes the Luhn check by chance and
 * is refused; a letter in front (`order-N4000…`) lets it in.
 *
 * It is one pass that normalises nothing but letters with their marks, and those only where it depends
 * on them: whatever the text, its cost is proportional to its length.
 */
import { Kind, KINDS, learnKind, sequenceOf } from './character-kind';
import { DigitRun } from './digit-run';

export function hasCardNumber(text: string): boolean {
  return text.length >= MIN_LENGTH && new CardSearch(text).run();
}

const { WORD, JOINT, PLUS, MARK, DIGIT, SEQUENCE } = Kind;
const MIN_LENGTH = 13;
/**
 * The longest letter with marks that may become one character, in UTF-16 units. Of the characters that
 * NFC makes of several none is made of more than four.
 */
const MAX_COMPOSED = 16;

/**
 * What stands directly before a place: nothing that belongs to a word; something that does; or marks
 * behind something that does, with which they may become one.
 */
type Before = 'free' | 'bound' | 'unsure';

/** A search through one text, to be run once. */
export class CardSearch {
  /** Characters that were read, looked up for the first time or normalised so far. */
  private characters = 0;
  private before: Before = 'free';
  /** Where the character begins whose marks stand before this place. */
  private base = 0;
  /** What stands before the `+` that was read last; nothing once something else was read. */
  private beforePlus?: Before;
  private plusAt = 0;

  private readonly digits = new DigitRun();
  private inRun = false;
  private inGroup = false;
  private hasPlus = false;
  private beforeRun: Before = 'free';
  /** The character with marks before the run and its `+`, where it is unsure what they are. */
  private clusterStart = 0;
  private clusterEnd = 0;

  constructor(private readonly text: string) {}

  /** The work done so far: characters read, and how often a group was checked. */
  get steps(): number {
    return this.characters + this.digits.weighed;
  }

  /** Whether a card number is found. */
  run(): boolean {
    const { text } = this;
    const kinds = KINDS;
    for (let at = 0; at < text.length; at += 1) {
      const start = at;
      let code = text.charCodeAt(at);
      if (code >= 0xd800 && code < 0xdc00) {
        code = text.codePointAt(at) ?? code;
        if (code > 0xffff) at += 1;
      }
      if (kinds[code] === 0) this.characters += learnKind(code);
      const kind = kinds[code] ?? 0;
      if (kind < SEQUENCE) {
        if (this.read(kind, start)) return true;
      } else {
        for (const part of sequenceOf(kind)) if (this.read(part, start)) return true;
      }
    }
    return this.inRun && this.endRun();
  }

  /**
   * Takes in a character, in NFKC.
   *
   * @param at where it stands in the text
   * @returns whether it ended a run with a card number in it
   */
  private read(kind: number, at: number): boolean {
    this.characters += 1;
    if (kind >= DIGIT) {
      this.readDigit(kind - DIGIT, at);
      return false;
    }
    if (kind === JOINT && this.inGroup) {
      this.digits.endGroup();
      this.inGroup = false;
      this.before = 'free';
      return false;
    }
    // A group that a letter follows does not count.
    if (kind === WORD) this.inGroup = false;
    const found = this.inRun && this.endRun();
    if (kind === MARK) {
      if (this.before !== 'free') this.before = at - this.base < MAX_COMPOSED ? 'unsure' : 'free';
    } else if (kind === WORD) {
      this.before = 'bound';
      this.base = at;
    }
    this.beforePlus = kind === PLUS ? this.before : undefined;
    this.plusAt = at;
    if (kind < MARK && kind !== WORD) this.before = 'free';
    return found;
  }

  private readDigit(digit: number, at: number): void {
    if (!this.inRun) {
      this.digits.begin();
      this.inRun = true;
      this.hasPlus = this.beforePlus !== undefined;
      this.beforeRun = this.beforePlus ?? this.before;
      this.clusterStart = this.base;
      this.clusterEnd = this.hasPlus ? this.plusAt : at;
      this.beforePlus = undefined;
    }
    this.digits.add(digit, !this.inGroup);
    this.inGroup = true;
    this.before = 'bound';
    this.base = at;
  }

  private endRun(): boolean {
    if (this.inGroup) this.digits.endGroup();
    this.inGroup = false;
    this.inRun = false;
    // A `+` behind a word is none of the number's, and a first group behind one is none of the run's.
    const { hasPlus, beforeRun } = this;
    const ifFree = this.digits.holdsCard(hasPlus, true);
    const ifBound = this.digits.holdsCard(false, hasPlus);
    if (ifFree === ifBound || beforeRun !== 'unsure')
      return beforeRun === 'bound' ? ifBound : ifFree;
    return this.endsInWord() ? ifBound : ifFree;
  }

  /** Whether what stands before the run and its `+` ends in a part of a word once it is in NFKC. */
  private endsInWord(): boolean {
    const cluster = this.text.slice(this.clusterStart, this.clusterEnd);
    // It sorts the marks, which costs their number squared.
    this.characters += cluster.length ** 2;
    return /[\p{L}\p{N}_]$/u.test(cluster.normalize('NFKC'));
  }
}
