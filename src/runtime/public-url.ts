/** The URL under which clients reach this server: every link that goes out begins with it. */

/** The settings that say it. */
interface PublicAddress {
  readonly PUBLIC_URL: string;
  readonly HOST: string;
  readonly PORT: number;
}

/** Made of settings alone. Of a Host header any client could choose where another is led. */
export class PublicUrl {
  private base: string | undefined;

  constructor({ PUBLIC_URL, HOST, PORT }: PublicAddress) {
    if (PUBLIC_URL !== '') this.base = PUBLIC_URL;
    else if (PORT !== 0) this.base = urlOfAddress(HOST, PORT);
  }

  /** Completes the URL where `PORT` is 0, once it is known which port the server has. */
  listensAt(url: string): void {
    this.base ??= url;
  }

  /**
   * @param path begins with a slash
   * @returns undefined in a process that listens nowhere, with neither `PUBLIC_URL` nor `PORT` set
   */
  linkTo(path: string): string | undefined {
    return this.base === undefined ? undefined : `${this.base}${path}`;
  }
}

/** A URL for clients on this machine: an address that means "all" is none to connect to. */
export function urlOfAddress(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://127.0.0.1:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
