// SPDX-License-Identifier: Apache-2.0
// The shapes that the API answers. Nearly everything is optional on purpose: a field that is missing is shown as
// "unknown", and never blanks a page.
// One file a room; they are imported from here.

export type * from "./types/answers.ts";
export type * from "./types/data.ts";
export type * from "./types/features.ts";
export type * from "./types/governance.ts";
export type * from "./types/monitoring.ts";
export type * from "./types/pipelines.ts";
export type * from "./types/registry.ts";
export type * from "./types/release.ts";
export type * from "./types/serving.ts";
export type * from "./types/traces.ts";
export type * from "./types/tracking.ts";
export type * from "./types/triggers.ts";
export type * from "./types/wire.ts";
