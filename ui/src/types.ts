// SPDX-License-Identifier: Apache-2.0
// The shapes that the API answers. Nearly everything is optional on purpose: a field that is missing is shown as
// "unknown", and never blanks a page.

export type Maybe<T> = T | null | undefined;
export type Health = "ok" | "watch" | "alert" | "unknown";
export type Facts = Record<string, unknown>;

export interface Page<T> {
  items: T[];
  next?: string | null;
}

export interface LedgerEvent {
  seq: number;
  at?: string;
  actor?: string;
  kind?: string;
  subject?: string;
  subject_version?: number | null;
  reason?: string | null;
  because?: number | null;
  body?: Facts;
  hash?: string;
  prev?: string | null;
}

export interface Phrase {
  text: string;
  href?: string | null;
}

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

export interface Me {
  actor?: string;
  roles?: string[];
  via?: string;
}

export interface Measured {
  value?: number | null;
  auc?: number | null;
  lo?: number | null;
  hi?: number | null;
  n?: number | null;
  n_pos?: number | null;
  as_of?: string | null;
  reason?: string | null;
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
  message?: string;
  accepted?: boolean;
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
}

export interface Link {
  kind?: string;
  ref?: string;
  name?: string;
}

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

export interface Portion {
  partition: string;
  state?: string;
  run_id?: string | null;
  sentence?: string;
}

export interface OnlineTable {
  version?: number;
  sequence?: number;
  size?: number;
  rows?: number;
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
  source?: string;
  claims?: Record<string, string>;
  evaluation_blob?: string | null;
  is_reference?: boolean;
  needs_pickle?: boolean;
  permission?: Permission | null;
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

export interface Decision {
  id: string;
  trigger?: string;
  deployment?: string;
  at?: string;
  as_of?: string | null;
  outcome?: string;
  mode?: string;
  sentence?: string;
  condition?: string;
  facts?: Facts;
  because?: number | null;
  job?: string | null;
  run_id?: string | null;
  version?: string | null;
  release?: string | number | null;
  result?: string | null;
  result_sentence?: string;
  window?: string | null;
  actor?: string;
}

export interface Trigger {
  name: string;
  deployment?: string;
  when?: string;
  condition?: string;
  pipeline?: string;
  params?: Facts;
  mode?: string;
  cooldown?: string;
  owner?: string;
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
  row?: Facts;
  status?: string;
  latency_ms?: number | null;
  source?: string;
  feedback?: { label?: unknown; at?: string; revision?: number; actor?: string }[];
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

export interface Person {
  name: string;
  kind?: string;
  roles?: string[];
  created_at?: string;
}

export interface Policy {
  name: string;
  version?: number;
  digest?: string;
  gates?: (string | Facts)[];
  approvals?: { count?: number; not_author?: boolean };
  created_at?: string;
  actor?: string;
  reason?: string;
}

export interface Verified {
  ok?: boolean;
  events?: number;
  head?: { seq?: number; hash?: string };
  problems?: unknown[];
}

export interface Found {
  subject?: string;
  title?: string;
  href?: string;
}

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
