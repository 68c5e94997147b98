// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: releases, gates, rollouts.
import type { Facts } from "./wire.ts";

export interface Gate {
  gate?: string;
  verdict?: string;
  numbers?: Facts;
  sentence?: string;
  rows?: unknown;
}

export interface Approval {
  actor?: string;
  decision?: string;
  reason?: string;
  at?: string;
  digest?: string;
  valid?: boolean | null;
}

export interface Evidence {
  step?: number;
  at?: string;
  guard?: string;
  share?: number | null;
  canary?: { n?: number; bad?: number } | null;
  champion?: { n?: number; bad?: number } | null;
  needed?: number | null;
  n?: number | null;
  k?: number | null;
  w?: number | null;
  e_value?: number | null;
  decision?: string;
  sentence?: string;
}

export interface Rollout {
  id?: string;
  deployment?: string;
  release?: string;
  kind?: string;
  state?: string;
  steps?: number[];
  step?: number;
  share?: number | null;
  started_at?: string;
  evidence?: Evidence[];
  min_predictions?: number;
  guards?: string[];
  ended_at?: string | null;
  reason?: string | null;
}

export interface Release {
  id?: string;
  deployment?: string;
  number?: number;
  state?: string;
  model?: string;
  version?: string | number;
  manifest?: Facts | null;
  digest?: string;
  requested_by?: string;
  requested_at?: string;
  reason?: string | null;
  because?: number | null;
  gates?: Gate[];
  evidence_blob?: string | null;
  approvals?: Approval[];
  rollout?: Rollout | null;
}
