// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: feature views.

export interface OnlineTable {
  version?: number;
  sequence?: number;
  size?: number;
  rows?: number;
  changed?: number | null;
  watermark?: string;
  run_id?: string | null;
  made_at?: string;
}

export interface ViewVersion {
  id: string;
  number: number;
  digest?: string;
  closure?: string;
  definition: { time?: string; ttl?: string | null; available_after?: string | null };
  entity: { name: string; type?: string }[];
  columns: { name: string; type?: string }[];
  entry?: string;
  created_at?: string;
  created_by?: string;
  online?: OnlineTable | null;
}

export interface FeatureView {
  name: string;
  versions: ViewVersion[];
}
