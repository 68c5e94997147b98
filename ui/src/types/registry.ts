// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: models and versions.
import type { Facts } from "./wire.ts";

export interface Version {
  model?: string;
  number?: number;
  id?: string;
  digest?: string;
  format?: string;
  files?: Record<string, { digest?: string; size?: number }>;
  state?: string;
  signature?: unknown;
  metrics?: Record<string, unknown>;
  environment?: unknown;
  run_id?: string | null;
  snapshots?: (string | { id?: string; role?: string })[];
  created_at?: string;
  actor?: string;
  releases?: string[];
  age_days?: number;
  description?: string;
  tags?: Record<string, string>;
  aliases?: string[];
  views?: string[];
  warnings?: string[];
  source?: string;
  claims?: Record<string, string>;
  evaluation_blob?: string | null;
  is_reference?: boolean;
  needs_pickle?: boolean;
  permission?: Permission | null;
}

export interface Typed {
  name: string;
  type?: string;
}

export interface Output {
  type?: string; // binary, multiclass, regression
  classes?: unknown[];
  positive?: unknown;
}

export interface VersionSignature {
  inputs?: unknown;
  output?: Output & Facts;
  views?: { view: string; version: number; digest?: string; columns: string[]; entity: Typed[] }[];
  sources?: { source: string; columns: Typed[]; entity: Typed[] }[];
  transforms?: { name: string; type?: string; inputs: Typed[] }[];
}

export interface Permission {
  model?: string;
  number?: number | null;
  what?: string;
  actor?: string;
  at?: string;
  reason?: string;
  event?: number;
}

export interface Model {
  name: string;
  tags?: Record<string, string>;
  permissions?: Permission[];
  held_by?: string[];
  owner?: string;
  tier?: string;
  description?: string;
  aliases?: Record<string, number>;
  versions?: Version[];
  created_at?: string;
}
