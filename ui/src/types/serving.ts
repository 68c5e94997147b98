// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: deployments and predictions.
import type { Release, Rollout } from "./release.ts";
import type { Facts } from "./wire.ts";

export interface Variant {
  release?: string;
  version?: string;
  role?: string;
  share?: number;
  digest?: string;
  matches?: boolean | null;
}

export interface Deployment {
  name: string;
  environment?: string;
  model?: string;
  owner?: string;
  policy?: string | Facts;
  release?: string | null;
  version?: string | null;
  predictions?: number;
  created_at?: string;
  rollout?: Facts | null;
  state?: string;
  generation?: number;
  variants?: Variant[];
  loaded?: { gateway?: string; reported_at?: string; generation?: number; variants?: Variant[] }[];
  agrees?: boolean | null;
  releases?: Release[];
  rollout_now?: Rollout | null;
  monitor?: string | null;
}

export interface Prediction {
  id: string;
  at?: string;
  logged_at?: string;
  deployment?: string;
  release?: string | number;
  version?: string | number;
  variant?: string;
  value?: number | null;
  kind?: string;
  label?: unknown; // of several classes the one that was said
  row?: Facts;
  status?: string;
  latency_ms?: number | null;
  source?: string;
  feedback?: { label?: unknown; at?: string; revision?: number; actor?: string }[];
}
