// SPDX-License-Identifier: Apache-2.0
// A chart as a picture and as a table, to be taken along.
import type uPlot from "uplot";
import { isNumber } from "../format.ts";
import type { ChartProps } from "./chart.tsx";
import { inks } from "./inks.ts";

export function savePng(plot: uPlot, { title, unit }: { title: string; unit: string }): void {
  const source = plot.ctx.canvas;
  const scale = devicePixelRatio;
  const head = 28 * scale;
  const sheet = document.createElement("canvas");
  sheet.width = source.width;
  sheet.height = source.height + head;
  const ctx = sheet.getContext("2d");
  if (!ctx) return;
  const colours = inks(plot.root);
  ctx.fillStyle = colours.surface;
  ctx.fillRect(0, 0, sheet.width, sheet.height);
  ctx.fillStyle = colours.ink;
  ctx.font = `600 ${13 * scale}px system-ui, sans-serif`;
  ctx.fillText(`${title} ${unit}`, 8 * scale, 18 * scale);
  ctx.drawImage(source, 0, head);
  sheet.toBlob((blob) => blob && save(blob, `${fileName(title)}.png`));
}

export function saveCsv({ title, times, names, series, numeric }: ChartProps): void {
  const columns = series.flatMap((one) => [
    one.label,
    ...(one.lo ? [`${one.label} low`] : []),
    ...(one.hi ? [`${one.label} high`] : []),
  ]);
  const rows = times.map((time, index) => [
    numeric ? String(time) : new Date(time * 1000).toISOString(),
    names[index] ?? "",
    ...series
      .flatMap((one) => [one.values[index], ...(one.lo ? [one.lo[index]] : []), ...(one.hi ? [one.hi[index]] : [])])
      .map((value) => (isNumber(value) ? String(value) : "")),
  ]);
  const text = [[numeric ? "step" : "at", "window", ...columns], ...rows].map((row) => row.map(quoted).join(",")).join("\n");
  save(new Blob([`${text}\n`], { type: "text/csv" }), `${fileName(title)}.csv`);
}

export function quoted(cell: string): string {
  return /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

export function fileName(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w]+/g, "-")
    .replace(/^-|-$/g, "");
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
