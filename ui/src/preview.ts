// SPDX-License-Identifier: Apache-2.0
// Which files can be looked at, and how. A file is judged by its name and by its first bytes, never by what it claims to be; HTML
// is text here, and is never drawn.

export type Look = "image" | "svg" | "csv" | "tsv" | "json" | "columnar" | "model" | "diff" | "html" | "text" | "none";

const BY_ENDING: Record<string, Look> = {
  png: "image",
  jpg: "image",
  jpeg: "image",
  gif: "image",
  webp: "image",
  bmp: "image",
  svg: "svg",
  csv: "csv",
  tsv: "tsv",
  json: "json",
  ipynb: "json",
  parquet: "columnar",
  arrow: "columnar",
  feather: "columnar",
  patch: "diff",
  diff: "diff",
  html: "html",
  htm: "html",
  xhtml: "html",
};

const TEXTS = new Set(
  "txt md rst log py ipynb yaml yml toml cfg ini sh sql r js ts css xml jsonl ndjson lock conf dockerfile gitignore".split(" "),
);
const TEXT_NAMES = new Set(["readme", "license", "makefile", "dockerfile", "requirements"]);

export const MOST_IMAGE_BYTES = 8_000_000;
export const MOST_TEXT_BYTES = 400_000;

/** How a file is looked at, from its path alone; "text" also for what is not known, if it turns out to be text. */
export function lookOf(path: string): Look {
  const name = path.split("/").at(-1)?.toLowerCase() ?? "";
  if (name === "mlmodel") return "model";
  const ending = name.includes(".") ? (name.split(".").at(-1) ?? "") : "";
  if (BY_ENDING[ending]) return BY_ENDING[ending];
  if (TEXTS.has(ending) || TEXT_NAMES.has(name.split(".")[0] ?? "")) return "text";
  return ending ? "none" : "text";
}

/** The media type that the first bytes prove; null: they are no picture that a browser draws. */
export function imageType(bytes: Uint8Array): string | null {
  const starts = (...signs: number[]) => signs.every((sign, index) => bytes[index] === sign);
  const letters = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "image/png";
  if (starts(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (letters(0, 4) === "GIF8") return "image/gif";
  if (letters(0, 4) === "RIFF" && letters(8, 12) === "WEBP") return "image/webp";
  if (letters(0, 2) === "BM") return "image/bmp";
  return null;
}

/** Bytes as text, or null: a zero byte or broken UTF-8 means that they are none. A torn last letter is forgiven. */
export function textOf(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null;
  for (let torn = 0; torn < 4; torn += 1) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, bytes.length - torn));
    } catch {
      // The last letter may have been cut in the middle: try without it.
    }
  }
  return null;
}

export interface Folder {
  name: string;
  path: string;
  folders: Folder[];
  files: string[]; // whole paths
  size: number;
}

/** Paths with slashes as a tree. */
export function treeOf(files: { path: string; size?: number | undefined }[]): Folder {
  const root: Folder = { name: "", path: "", folders: [], files: [], size: 0 };
  for (const { path, size } of [...files].sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }))) {
    let folder = root;
    folder.size += size ?? 0;
    for (const part of path.split("/").slice(0, -1)) {
      let inner = folder.folders.find((one) => one.name === part);
      if (!inner) {
        inner = { name: part, path: folder.path ? `${folder.path}/${part}` : part, folders: [], files: [], size: 0 };
        folder.folders.push(inner);
      }
      inner.size += size ?? 0;
      folder = inner;
    }
    folder.files.push(path);
  }
  return root;
}
