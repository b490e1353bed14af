/** A list that can be awaited for a page or iterated over all pages. */

/** A page of a list, newest first. */
export interface Page<T> {
  readonly object: 'list';
  readonly data: T[];
  /** Whether there is a page after this one. */
  readonly has_more: boolean;
  readonly url: string;
}

/** What every list takes beside its filters. */
export interface PageParams {
  starting_after?: string;
  ending_before?: string;
}

/**
 * A list request: await it for its first page, or iterate over it for the objects of all pages, as with the
 * official Stripe SDK. Pages are fetched when they are reached.
 *
 * Each page begins where the one before ended. So no object is skipped or repeated, and objects made
 * meanwhile are left out. With `ending_before` the iteration goes from that object to the newest.
 */
export class ApiList<T extends { readonly id: string }>
  implements PromiseLike<Page<T>>, AsyncIterable<T>
{
  private first?: Promise<Page<T>>;

  /**
   * @param fetchPage fetches the page that begins at `from`
   * @param backwards whether to go from old to new
   */
  constructor(
    private readonly fetchPage: (from: PageParams) => Promise<Page<T>>,
    private readonly backwards: boolean,
  ) {}

  // oxlint-disable-next-line unicorn/no-thenable -- awaiting a list fetches its first page
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
