// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: triggers and decisions.
import type { Facts } from "./wire.ts";

export interface Decision {
  id: string;
  trigger?: string;
  deployment?: string;
  at?: string;
  as_of?: string | null;
  outcome?: string;
  mode?: string;
  sentence?: string;
  condition?: string;
  facts?: Facts;
  because?: number | null;
  job?: string | null;
  run_id?: string | null;
  version?: string | null;
  release?: string | number | null;
  result?: string | null;
  result_sentence?: string;
  window?: string | null;
  actor?: string;
}

export interface Trigger {
  name: string;
  deployment?: string;
  when?: string;
  condition?: string;
  pipeline?: string;
  params?: Facts;
  mode?: string;
  cooldown?: string;
  owner?: string;
}
