// SPDX-License-Identifier: Apache-2.0
// The little Markdown that model cards are drafted in, as blocks: headings, paragraphs, lists, tables of two or more columns.
// Markup of any other kind stays text.

export type Block =
  | { kind: "heading"; level: number; text: string }
  | { kind: "text"; text: string }
  | { kind: "list"; items: string[] }
  | { kind: "table"; head: string[]; rows: string[][] }
  | { kind: "code"; text: string };

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.replaceAll("\r\n", "\n").split("\n");
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? "";
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    const take = (fits: (text: string) => boolean) => {
      const taken: string[] = [];
      while (at < lines.length && fits(lines[at] ?? "")) taken.push(lines[at++] ?? "");
      return taken;
    };
    if (!line.trim()) at += 1;
    else if (line.startsWith("```")) {
      at += 1;
      blocks.push({ kind: "code", text: take((text) => !text.startsWith("```")).join("\n") });
      at += 1;
    } else if (heading) {
      blocks.push({ kind: "heading", level: heading[1]?.length ?? 1, text: heading[2] ?? "" });
      at += 1;
    } else if (line.startsWith("|")) {
      const [head, , ...rows] = take((text) => text.startsWith("|")).map(cellsOf);
      blocks.push({ kind: "table", head: head ?? [], rows });
    } else if (/^[-*]\s/.test(line)) {
      blocks.push({ kind: "list", items: take((text) => /^[-*]\s/.test(text)).map((text) => text.slice(2)) });
    } else
      blocks.push({
        kind: "text",
        text: take((text) => Boolean(text.trim()) && !/^(#{1,6}\s|\||```|[-*]\s)/.test(text)).join(" "),
      });
  }
  return blocks;
}

/** "| a | b \| c |" → ["a", "b | c"]. */
function cellsOf(line: string): string[] {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

export interface Piece {
  kind: "text" | "code" | "strong" | "soft";
  text: string;
}

/** A line's `code`, **strong** and _soft_ pieces. */
export function piecesOf(text: string): Piece[] {
  return text
    .split(/(`[^`]+`|\*\*[^*]+\*\*|(?<![\w])_[^_]+_(?![\w]))/)
    .filter(Boolean)
    .map((piece): Piece => {
      if (/^`.+`$/.test(piece)) return { kind: "code", text: piece.slice(1, -1) };
      if (/^\*\*.+\*\*$/.test(piece)) return { kind: "strong", text: piece.slice(2, -2) };
      if (/^_.+_$/.test(piece)) return { kind: "soft", text: piece.slice(1, -1) };
      return { kind: "text", text: piece };
    });
}
