// SPDX-License-Identifier: Apache-2.0
// Shapes of the API: pipelines, steps, logs, schedules, backfills.
import type { Link, Run } from "./tracking.ts";
import type { Facts } from "./wire.ts";

export interface StepOutput {
  name?: string;
  kind?: string;
  digest?: string;
  size?: number | null;
  rows?: number | null;
}

export interface Step {
  run_id?: string;
  name: string;
  state?: string;
  key?: string;
  key_parts?: Facts;
  hit_of?: string | null;
  why?: string;
  seconds?: number | null;
  upstream?: string[];
  inputs?: Link[];
  outputs?: StepOutput[];
}

export interface StepNode {
  name: string;
  kind?: string;
  state?: string;
  run_id?: string | null;
  why?: string | null;
  hit_of?: string | null;
  key?: string | null;
  started_at?: string | null;
  seconds?: number | null;
  error?: string | null;
  rows?: number | null;
  outputs?: StepOutput[];
}

export interface StepEdge {
  source: string;
  target: string;
  rows?: number | null;
}

export interface StepGraph {
  run_id: string;
  pipeline?: string;
  state?: string;
  executor?: string | null;
  nodes: StepNode[];
  edges: StepEdge[];
}

export interface Lease {
  worker?: string;
  leased_until?: string | null;
  executor?: string;
}

export interface LogLine {
  seq: number;
  step: string;
  stream: string;
  at?: string;
  text: string;
}

export interface Pipeline {
  name: string;
  entry?: string;
  last_run?: string | Partial<Run> | null;
  runs?: number;
  owner?: string;
}

export interface Schedule {
  name: string;
  pipeline?: string;
  params?: Facts;
  cron?: string | null;
  every?: string | null;
  timezone?: string;
  catch_up?: string;
  owner?: string;
  state?: string;
  next_at?: string | null;
  created_at?: string;
  created_by?: string;
}

export interface Firing {
  logical_time: string;
  fired_at?: string;
  event?: number;
  job?: string;
  state?: string;
  run_id?: string | null;
  error?: string | null;
}

export interface ScheduleAnswer {
  schedule: Schedule;
  next: string[];
  firings: Firing[];
}

export interface BackfillAnswer {
  backfill: {
    id: string;
    pipeline: string;
    params?: Facts;
    by?: string;
    timezone?: string;
    since?: string;
    until?: string;
    concurrency?: number;
    state?: string;
    created_at?: string;
    created_by?: string;
  };
  counts: Record<string, number>;
}

export interface JobProgress {
  run_id?: string | null;
  done?: number;
  total?: number | null;
  now?: string[];
}

export interface Job {
  id: string;
  kind: string;
  state: string; // queued, leased, done, failed
  body?: { entry?: string; params?: Facts; subject?: string };
  subject?: string | null;
  attempt?: number;
  created_at?: string;
  created_by?: string;
  worker?: string | null;
  leased_at?: string | null;
  finished_at?: string | null;
  result?: Facts | null;
  error?: string | null;
  progress?: JobProgress | null;
  ahead?: number | null;
  busy?: string[];
}

export interface PlanItem {
  label: string;
  why: string;
  sentence: string;
  key?: string | null;
  assumes?: string[];
  changes?: { name: string; lines: number; diff: string }[];
  stands_for?: string | null;
  upstream?: string[];
  hit_of?: string | null;
}

export interface PlanDocument {
  pipeline: string;
  summary: string;
  items: PlanItem[];
  remarks: string[];
}

export interface Portion {
  partition: string;
  state?: string;
  run_id?: string | null;
  sentence?: string;
}
