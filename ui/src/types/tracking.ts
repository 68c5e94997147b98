// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: runs, what they logged, experiments.
import type { Step } from "./pipelines.ts";
import type { Facts } from "./wire.ts";

export interface Link {
  kind?: string;
  ref?: string;
  name?: string;
}

export interface Artifact {
  path?: string;
  name?: string;
  digest?: string;
  size?: number;
  media_type?: string;
}

export interface Run {
  id: string;
  experiment?: string | null;
  name?: string;
  kind?: string;
  parent?: string | null;
  state?: string;
  actor?: string;
  started_at?: string;
  ended_at?: string | null;
  seconds?: number | null;
  deleted_at?: string | null;
  reason?: string | null;
  because?: number | null;
  params?: Facts;
  metrics?: Record<string, number | string | null>; // "Infinity" where JSON has no number, null for what is none
  tags?: Facts;
  code?: { entry?: string; commit?: string | null; dirty?: boolean; sources_digest?: string; diff_digest?: string | null } | null;
  environment?: { digest?: string; python?: string; packages?: Record<string, string> } | null;
  seeds?: unknown;
  hardware?: unknown;
  artifacts?: Artifact[];
  inputs?: Link[];
  outputs?: Link[];
  steps?: Step[];
  error?: string | { message?: string } | null;
  warnings?: string[];
}

export interface LoggedModel {
  id: string;
  name?: string;
  state?: string;
  run?: string | null;
  params?: Record<string, string>;
  tags?: Record<string, string>;
  artifacts?: Artifact[];
}

export interface Experiment {
  id: number;
  name: string;
  created_at?: string;
  created_by?: string;
  updated_at?: string | null;
  deleted_at?: string | null;
  tags?: Record<string, string>;
}
