// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: people and policies.
import type { Facts } from "./wire.ts";

export interface Me {
  actor?: string;
  roles?: string[];
  via?: string;
}

export interface Person {
  name: string;
  kind?: string;
  roles?: string[];
  created_at?: string;
}

export interface Policy {
  name: string;
  version?: number;
  digest?: string;
  gates?: (string | Facts)[];
  approvals?: { count?: number; not_author?: boolean };
  created_at?: string;
  actor?: string;
  reason?: string;
}

export interface Verified {
  ok?: boolean;
  events?: number;
  head?: { seq?: number; hash?: string };
  problems?: unknown[];
}
