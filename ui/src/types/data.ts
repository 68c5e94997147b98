// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: datasets, snapshots, contracts, refusals, and two snapshots beside each other.
import type { User } from "./answers.ts";
import type { Facts } from "./wire.ts";

export interface ContractColumn {
  name: string;
  type?: string;
  nullable?: boolean;
  minimum?: number | string | null;
  maximum?: number | string | null;
  categories?: unknown[] | null;
  aliases?: string[];
  unique?: boolean;
  pattern?: string | null;
  freshness?: string | null;
  on_violation?: string | null;
}

export interface Problem {
  column?: string;
  problem?: string;
  found?: unknown;
  expected?: unknown;
  sentence?: string;
  likely_alias?: { column?: string; overlap?: number } | null;
}

export interface Refusal {
  id?: string | number;
  at?: string;
  source?: string;
  actor?: string;
  problems?: Problem[];
  sentence?: string;
  rows_blob?: string;
  resolved_by?: string | null;
}

export interface SnapshotBrief {
  dataset?: string;
  number?: number;
  id?: string;
  digest?: string;
  rows?: number;
  size?: number;
  period?: { since?: string; until?: string } | null;
  source?: string | null;
  created_at?: string;
  actor?: string;
  run_id?: string | null;
  kind?: string;
  warnings?: number;
  dropped_at?: string | null;
}

export interface Contract {
  version?: number;
  columns?: ContractColumn[];
  rows_low?: number;
  rows_high?: number;
  on_rows?: string;
  keys?: string[][];
  digest?: string;
  created_at?: string;
  actor?: string;
}

export interface ColumnSide {
  null_share?: number | null;
  mean?: number | null;
  sd?: number | null;
  minimum?: number | null;
  maximum?: number | null;
}

export interface ColumnChange {
  column: string;
  kind?: string;
  before: ColumnSide;
  after: ColumnSide;
  psi?: number | null;
  js?: number | null;
  ks?: number | null;
  new?: string[];
  lost?: string[];
  effect: number;
}

export interface RowChanges {
  key: string[];
  added: number;
  removed: number;
  changed: number;
  same: number;
  columns: Record<string, number>;
  shown_added: Facts[];
  shown_removed: Facts[];
  shown_changed: { key: unknown[]; columns: Record<string, [unknown, unknown]> }[];
  repeated_before: { rows: number; keys: unknown[][] };
  repeated_after: { rows: number; keys: unknown[][] };
}

export interface FileChanges {
  added: number;
  removed: number;
  changed: number;
  same: number;
  shown_added: string[];
  shown_removed: string[];
  shown_changed: string[];
}

export interface SnapshotDiff {
  before: string;
  after: string;
  is_same: boolean;
  rows_before: number;
  rows_after: number;
  added: { name: string; type?: string }[];
  removed: { name: string; type?: string }[];
  retyped: { name: string; before: string; after: string }[];
  columns: ColumnChange[];
  rows: RowChanges | null;
  files: FileChanges | null;
}

export interface Dataset {
  name: string;
  owner?: string;
  description?: string;
  created_at?: string;
  rows_total?: number;
  contract?: Contract | null;
  refs?: Record<string, number>;
  snapshots?: SnapshotBrief[];
  refusals?: Refusal[];
  used_by?: string[];
}

export interface ProfileColumn {
  name: string;
  kind?: string;
  n?: number;
  null_share?: number | null;
  mean?: number | null;
  sd?: number | null;
  minimum?: number | string | null;
  maximum?: number | string | null;
  quantiles?: Record<string, number> | number[] | null;
  histogram?: { edges?: number[]; counts?: number[] } | null;
  top?: { value: unknown; count: number }[] | null;
}

export interface Reference {
  system?: string;
  uri?: string;
  version?: string;
  is_pinned?: boolean;
}

export interface Snapshot extends Omit<SnapshotBrief, "warnings"> {
  reference?: Reference | null;
  schema?: { name: string; type?: string }[];
  contract_version?: number | null;
  blob?: string;
  parents?: string[];
  profile?: { columns?: ProfileColumn[] } | null;
  profile_unknown?: string | null;
  warnings?: Problem[];
  used_by?: string[];
  why_kept?: string | null; // why it cannot be dropped
}

export interface RollbackPreview {
  before: string;
  after: string;
  passed: string[];
  users: User[];
  deployments: string[];
}
