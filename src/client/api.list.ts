/** A page of a list, newest first. */
export interface Page<T> {
  readonly object: 'list';
  readonly data: T[];
  /** Whether there is more behind this page. */
  readonly has_more: boolean;
  readonly url: string;
}

/** What every list takes beside its filters. */
export interface PageParams {
  starting_after?: string;
  ending_before?: string;
}

/**
 * A list that was asked for: await it for its first page, or iterate over it for every object,
 * whichever page it is on, as with the official Stripe SDK. Pages are fetched when they are reached.
 *
 * Objects that are made meanwhile do not come up, and none that was there at the start is skipped or
 * comes twice: each page begins where the one before ended. With `ending_before` the iteration goes
 * the other way, from there to the newest.
 */
export class ApiList<T extends { readonly id: string }>
  implements PromiseLike<Page<T>>, AsyncIterable<T>
{
  private first?: Promise<Page<T>>;

  /** @param fetchPage given where the page begins, beside the parameters of the list */
  constructor(
    private readonly fetchPage: (from: PageParams) => Promise<Page<T>>,
    private readonly backwards: boolean,
  ) {}

  // oxlint-disable-next-line unicorn/no-thenable -- to be awaited is what it is for
  then<A = Page<T>, B = never>(
    fulfilled?: ((page: Page<T>) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.firstPage().then(fulfilled, rejected);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let page = await this.firstPage();
    for (;;) {
      // oxlint-disable-next-line unicorn/no-array-reverse -- toReversed is younger than ES2022
      yield* this.backwards ? [...page.data].reverse() : page.data;
      const last = page.data.at(this.backwards ? 0 : -1);
      if (!page.has_more || !last) return;
      page = await this.fetchPage(
        this.backwards ? { ending_before: last.id } : { starting_after: last.id },
      );
    }
  }

  private firstPage(): Promise<Page<T>> {
    this.first ??= this.fetchPage({});
    return this.first;
  }
}
