/** The version of Stripe's API that responses follow: the one of npm `stripe` 23.1. */
export const API_VERSION = '2026-10-28.endive';
