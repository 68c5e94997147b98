// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: what every answer is made of.

export type Maybe<T> = T | null | undefined;
export type Health = "ok" | "watch" | "alert" | "unknown";
export type Facts = Record<string, unknown>;

export interface Page<T> {
  items: T[];
  next?: string | null;
}

export interface LedgerEvent {
  seq: number;
  at?: string;
  actor?: string;
  kind?: string;
  subject?: string;
  subject_version?: number | null;
  reason?: string | null;
  because?: number | null;
  body?: Facts;
  hash?: string;
  prev?: string | null;
}

export interface Phrase {
  text: string;
  href?: string | null;
}

export interface Measured {
  name?: string;
  value?: number | null;
  auc?: number | null;
  lo?: number | null;
  hi?: number | null;
  n?: number | null;
  n_pos?: number | null;
  as_of?: string | null;
  reason?: string | null;
}
