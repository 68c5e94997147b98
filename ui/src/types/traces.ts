// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: traces, their spans and what was said of them.
import type { Facts } from "./wire.ts";

export interface Assessment {
  id: string;
  span?: string | null;
  name?: string;
  kind?: string;
  value?: unknown;
  error?: Facts | null;
  source_kind?: string;
  source?: string;
  rationale?: string | null;
  is_valid?: boolean;
  created_at?: string;
}

export interface Span {
  id: string;
  parent?: string | null;
  depth?: number;
  name?: string;
  kind?: string | null;
  state?: string;
  message?: string | null;
  offset_ms?: number;
  duration_ms?: number | null;
  inputs?: unknown;
  outputs?: unknown;
  usage?: Record<string, number> | null;
  cost?: Record<string, number> | null;
  attributes?: Facts;
  events?: unknown[];
  links?: unknown[];
}

export interface Trace {
  id: string;
  experiment?: string;
  name?: string | null;
  state?: string;
  requested_at?: string;
  duration_ms?: number | null;
  request_preview?: string | null;
  response_preview?: string | null;
  run?: string | null;
  session?: string | null;
  person?: string | null;
  usage?: Record<string, number> | null;
  cost?: Record<string, number> | null;
  tags?: Record<string, string>;
  metadata?: Record<string, string>;
  assessments?: Assessment[];
  links?: Record<string, string[]>;
  spans?: Span[];
}
