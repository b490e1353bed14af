/** The base of the errors that an operator can mend. */

/** Its message is a sentence that tells an operator what to do. A process prints it without a stack. */
export class OperatorError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}
