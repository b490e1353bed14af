/** What the checks of the source read and find. */

export interface SourceFile {
  /** From the project's directory, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Where a file breaks a rule. */
export interface Finding {
  /** From 1. */
  readonly line: number;
  /** What to do about this one, where the rule's own advice does not say it. */
  readonly advice?: string;
}
