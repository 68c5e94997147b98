// SPDX-License-Identifier: Apache-2.0
// A text in the Markdown of model cards. It is drawn from blocks, never as markup: nothing in it can become an element of its own.
import { blocksOf, piecesOf, type Block } from "../markdown.ts";
import { shortId } from "../format.ts";

export function Markdown({ text }: { text: string }) {
  return (
    <div class="markdown">
      {blocksOf(text).map((block, index) => (
        <Drawn key={index} block={block} />
      ))}
    </div>
  );
}

function Drawn({ block }: { block: Block }) {
  switch (block.kind) {
    case "heading":
      return block.level === 1 ? null : ( // the page has its title
        <h3>
          <Pieces text={block.text} />
        </h3>
      );
    case "list":
      return (
        <ul>
          {block.items.map((item, index) => (
            <li key={index}>
              <Pieces text={item} />
            </li>
          ))}
        </ul>
      );
    case "code":
      return <pre class="said">{block.text}</pre>;
    case "table":
      return (
        <dl class="facts">
          {block.rows.map(([name = "", ...rest], index) => (
            <div key={index}>
              <dt>
                <Pieces text={name} />
              </dt>
              <dd>
                <Pieces text={rest.join(" · ")} />
              </dd>
            </div>
          ))}
        </dl>
      );
    default:
      return (
        <p>
          <Pieces text={block.text} />
        </p>
      );
  }
}

function Pieces({ text }: { text: string }) {
  return (
    <>
      {piecesOf(text).map((piece, index) => {
        if (piece.kind === "code")
          return (
            <code key={index} title={piece.text}>
              {shortId(piece.text)}
            </code>
          );
        if (piece.kind === "strong") return <b key={index}>{piece.text}</b>;
        if (piece.kind === "soft")
          return (
            <span key={index} class="quiet">
              {piece.text}
            </span>
          );
        return piece.text;
      })}
    </>
  );
}
