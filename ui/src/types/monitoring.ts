// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: monitors, windows, alerts.
import type { Facts, Measured } from "./wire.ts";

export interface DriftColumn {
  name: string;
  state?: string;
  effect?: number | null;
  ks?: number | null;
  js?: number | null;
  w1?: number | null;
  psi?: number | null;
  p?: number | null;
  n?: number | null;
  reason?: string | null;
}

export interface Verdict {
  key?: string;
  state?: string;
  title?: string;
  sentence?: string;
}

export interface SliceFigure {
  column?: string;
  value?: unknown;
  n?: number;
  auc?: Measured | null;
}

export interface WindowAnswer {
  id: string | number;
  since?: string;
  until?: string;
  n?: number | null;
  n_http?: number | null;
  labelled?: number | null;
  is_mature?: boolean;
  deployment?: string;
  verdicts?: Verdict[];
  slices?: SliceFigure[] | null;
  coverage?: number | null;
  release?: string | number | null;
  version?: string | number | null;
  state?: string;
  drift?: { state?: string; columns?: DriftColumn[] } | null;
  performance?: {
    kind?: string;
    auc?: Measured | number | null;
    brier?: Measured | number | null;
    base_rate?: Measured | number | null;
    mae?: Measured | number | null;
    rmse?: Measured | number | null;
    accuracy?: Measured | number | null;
    macro_f1?: Measured | number | null;
    reference?: Record<string, Measured | number | string | null> | null;
    state?: string;
    reason?: string | null;
  } | null;
  estimate?: Measured | null;
  latency?: { p50?: number | null; p95?: number | null; p99?: number | null } | null;
  errors?: { rate?: number | null; lo?: number | null; hi?: number | null; n?: number | null } | null;
  predictions_per_day?: number | { at?: string; n?: number }[] | null;
  decision?: { id?: string; outcome?: string; sentence?: string } | null;
}

export interface Distribution {
  edges?: (number | null)[] | null;
  categories?: unknown[] | null;
  shares?: number[];
  n?: number | null;
}

export interface ColumnAnswer {
  column?: string;
  kind?: string;
  baseline?: Distribution | null;
  window?: Distribution | null;
  edges?: (number | null)[] | null;
  categories?: unknown[] | null;
}

export interface Monitor {
  name: string;
  deployment?: string;
  owner?: string;
  window?: string;
  review?: string;
  slices?: string[];
  label_delay?: string | null;
  state?: string;
  last_reviewed_at?: string | null;
  review_due_at?: string | null;
  baseline?: { version?: string; rows?: number } | null;
  importance?: Record<string, number> | null;
  review_overdue?: boolean;
  label_coverage?: number;
  tolerance?: number;
  latency_limit_ms?: number | null;
  error_limit?: number;
  windows?: number;
  alerts?: number;
  reviews?: Review[];
}

export interface Review {
  id?: string;
  decision?: string;
  note?: string;
  actor?: string;
  at?: string;
  seen?: Facts;
}

export interface Alert {
  id: string;
  monitor?: string;
  deployment?: string;
  key?: string;
  severity?: string;
  state?: string;
  title?: string;
  sentence?: string;
  owner?: string;
  opened_at?: string;
  as_of?: string | null;
  count?: number;
  release?: string | number | null;
  version?: string | null;
  window_id?: string | number | null;
  muted_until?: string | null;
  because?: number | null;
  history?: Facts[];
  decision?: { id?: string; outcome?: string; sentence?: string } | string | null;
}
