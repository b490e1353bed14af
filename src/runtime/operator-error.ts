/** The base of the errors that an operator can mend. */

/** Its message is a sentence for people that says what to do. A process prints that and nothing else. */
export class OperatorError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}
