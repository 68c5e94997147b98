// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: the answers that take all stations together.
import type { Health, LedgerEvent, Measured, Phrase } from "./wire.ts";

export interface Station {
  station: string;
  subject?: string | null;
  name?: string | null;
  state?: string | null;
  href?: string | null;
  here?: boolean;
}

export interface CopyForms {
  cli?: string | null;
  python?: string | null;
  curl?: string | null;
}

export interface About {
  subject: string;
  kind?: string;
  name?: string;
  state?: string | null;
  owner?: string | null;
  since?: string | null;
  age?: string | number | null;
  because?: Phrase[];
  ribbon?: Station[];
  timeline?: LedgerEvent[];
  copy?: CopyForms;
}

export interface Loaded {
  gateway?: string;
  digest?: string | null;
  matches?: boolean | null;
}

export interface LiveItem {
  environment?: string;
  deployment?: string;
  owner?: string;
  release?: string;
  version?: string;
  role?: string;
  share?: number;
  digest?: string;
  loaded?: Loaded[];
  agrees?: boolean | null;
  trained_at?: string;
  trained_by?: string;
  age_days?: number;
  approved_by?: string | string[] | null;
  performance?: Measured | null;
  state?: string;
}

export interface Waiting {
  what?: string;
  subject?: string;
  title?: string;
  owner?: string;
  since?: string;
  href?: string;
}

export interface GatewayHealth {
  id?: string;
  reported_at?: string;
  ok?: boolean | null;
}

export interface HomeAnswer {
  live?: LiveItem[];
  changed?: LedgerEvent[];
  waiting?: Waiting[];
  overdue?: Waiting[];
  health?: { models?: Partial<Record<Health, number>>; uptime?: { gateways?: GatewayHealth[] } };
  counts?: Record<string, number>;
  empty?: { command?: string } | null;
}

export interface User {
  subject: string;
  kind: string;
  role?: string;
  snapshot: string;
  is_live?: boolean | null;
  href?: string | null;
}

export interface Users {
  snapshot: string;
  items: User[];
  deployments: string[];
}

export interface ColumnEffect {
  name: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  sentence: string;
}

export interface Cause {
  step: string;
  kind: string;
  what: string;
  sentence: string;
  before: string | null;
  after: string | null;
  lines: number | null;
  diff: string | null;
  columns: ColumnEffect[];
  also: string[];
  is_idle: boolean;
}

export interface OutputPair {
  name: string;
  kind: string;
  before: string | null;
  after: string | null;
  rows_before: number | null;
  rows_after: number | null;
  is_same: boolean;
  sentence: string;
  columns: ColumnEffect[];
}

export interface StepPair {
  name: string;
  state: string;
  sentence: string;
  outputs: OutputPair[];
  run_ids?: (string | null)[];
  hit_of?: (string | null)[];
  seconds?: (number | null)[];
}

export interface Moved {
  name: string;
  before: unknown;
  after: unknown;
}

export interface Explanation {
  is_same: boolean;
  sentence: string;
  causes: Cause[];
  without_effect: Cause[];
  steps: StepPair[];
  params: Moved[];
  packages: Moved[];
  metrics: Moved[];
}

export interface WhyStep {
  kind?: string;
  subject?: string;
  title?: string;
  at?: string | null;
  actor?: string | null;
  facts?: { name?: string; value?: unknown }[];
  href?: string | null;
  verified?: boolean | null;
  unknown?: boolean;
}

export interface Why {
  subject: string;
  steps?: WhyStep[];
  edges?: [number, number, string?][];
  chain_ok?: boolean | null;
  ms?: number;
}

export interface Found {
  subject?: string;
  title?: string;
  href?: string;
}
