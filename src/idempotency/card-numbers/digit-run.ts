/**
 * A run of digits in groups with single spaces or dashes between them, read digit by digit: whether
 * some of its groups in a row are a card number (13 to 19 digits that begin with 2 to 6 and pass the Luhn
 * check of ISO/IEC 7812-1, annex B). Each group is weighed against the six before it at most.
 */
export class DigitRun {
  /** How often groups were weighed since this object was made. */
  weighed = 0;

  /** Groups that are over. */
  private groups = 0;
  /** How many groups in a row before this one have digits enough to be followed by another. */
  private linked = 0;
  private digits = 0;
  private firstLength = 0;
  /** Digits in groups that are over. */
  private counted = 0;
  /** Zeros at the beginning, and those there would be without the first group. */
  private zeros = 0;
  private laterZeros = 0;
  /** Luhn sums of all digits so far: with those in even places doubled, and in odd ones. */
  private evenSum = 0;
  private oddSum = 0;
  private cardAtFirst = false;
  private cardLater = false;
  // Of the last eight groups: where they begin, their first digits, and the sums up to there.
  private readonly starts = noGroups();
  private readonly leads = noGroups();
  private readonly evenSums = noGroups();
  private readonly oddSums = noGroups();

  /** Forgets the run before. */
  begin(): void {
    this.groups = 0;
    this.linked = 0;
    this.digits = 0;
    this.firstLength = 0;
    this.counted = 0;
    this.zeros = 0;
    this.laterZeros = 0;
    this.evenSum = 0;
    this.oddSum = 0;
    this.cardAtFirst = false;
    this.cardLater = false;
  }

  /** @param startsGroup whether it is the first of its group */
  add(digit: number, startsGroup: boolean): void {
    if (startsGroup) {
      const slot = this.groups % GROUPS_KEPT;
      this.starts[slot] = this.digits;
      this.leads[slot] = digit;
      this.evenSums[slot] = this.evenSum;
      this.oddSums[slot] = this.oddSum;
    }
    if (digit === 0) {
      if (this.zeros === this.digits) this.zeros += 1;
      if (this.groups > 0 && this.laterZeros === this.digits - this.firstLength) {
        this.laterZeros += 1;
      }
    }
    const doubled = digit < 5 ? digit * 2 : digit * 2 - 9;
    const even = this.digits % 2 === 0;
    this.evenSum += even ? doubled : digit;
    this.oddSum += even ? digit : doubled;
    this.digits += 1;
  }

  /** The group is over, and no part of a word touches it. */
  endGroup(): void {
    const length = this.digits - this.counted;
    this.counted = this.digits;
    if (this.groups === 0) this.firstLength = length;
    for (let back = 0; back <= this.linked; back += 1) {
      const from = this.groups - back;
      const slot = from % GROUPS_KEPT;
      const size = this.digits - (this.starts[slot] ?? 0);
      if (size > MAX_DIGITS) break;
      this.weighed += 1;
      if (size >= MIN_DIGITS && this.passes(slot)) {
        if (from === 0) this.cardAtFirst = true;
        else this.cardLater = true;
      }
    }
    this.linked = length >= MIN_GROUP ? this.linked + 1 : 0;
    this.groups += 1;
  }

  /**
   * Whether there is a card number in the groups that are over, and the run is no phone number.
   *
   * @param plus whether a `+` belongs to it
   * @param whole false where something touches the first group, which then does not belong to it
   */
  holdsCard(plus: boolean, whole: boolean): boolean {
    const found = this.cardLater || (whole && this.cardAtFirst);
    if (!found) return false;
    const digits = whole ? this.counted : this.counted - this.firstLength;
    if (plus) return digits > MAX_PHONE_DIGITS;
    return (whole ? this.zeros : this.laterZeros) < 2 || digits > MAX_PHONE_DIGITS + 2;
  }

  /** Whether the digits from a group up to here may be a card's: their beginning and Luhn's check. */
  private passes(slot: number): boolean {
    const lead = this.leads[slot] ?? 0;
    if (lead < 2 || lead > 6) return false;
    // The last digit counts as it is, the one before it doubled, and so on.
    const even = this.digits % 2 === 0;
    const sum = even
      ? this.evenSum - (this.evenSums[slot] ?? 0)
      : this.oddSum - (this.oddSums[slot] ?? 0);
    return sum % 10 === 0;
  }
}

const MIN_DIGITS = 13;
const MAX_DIGITS = 19;
/** Digits of a group that is not the last. */
const MIN_GROUP = 3;
/** One more than groups that can be weighed together. */
const GROUPS_KEPT = 8;
/** No typed array: short texts are many, and four of those take longer to make than a text to search. */
const noGroups = (): number[] => [0, 0, 0, 0, 0, 0, 0, 0];
/** E.164: up to 15 digits after the `+` or `00`. */
const MAX_PHONE_DIGITS = 15;
