// SPDX-License-Identifier: Apache-2.0
// Files in folders, and beside them the one that is chosen. Which one stands in the address.
import { useMemo, useState } from "preact/hooks";
import { bytes } from "../format.ts";
import { treeOf, type Folder } from "../preview.ts";
import { useParam } from "../router.ts";
import type { Artifact } from "../types.ts";
import { Icon } from "./icons.tsx";
import { Preview } from "./preview.tsx";

const OPEN_AT_FIRST = 40; // files; beyond, only the top folder stands open

export function FileTree({ files }: { files: Artifact[] }) {
  const named = files.flatMap((file) => (file.path ? [{ ...file, path: file.path }] : []));
  const tree = useMemo(() => treeOf(named), [files]);
  const [chosen, choose] = useParam("file");
  const open = named.find((file) => file.path === chosen);
  return (
    <div class="files">
      <nav class="file-tree" aria-label="Files">
        <Level folder={tree} files={named} chosen={chosen} choose={choose} isOpen={named.length <= OPEN_AT_FIRST} />
        <p class="quiet file-sum">
          {named.length} {named.length === 1 ? "file" : "files"}, {bytes(tree.size)}
        </p>
      </nav>
      <div class="file-view">
        {open ? (
          <Preview key={`${open.path} ${open.digest}`} file={open} />
        ) : (
          <p class="quiet file-none">Choose a file to look at it. Nothing that a file contains is ever run here.</p>
        )}
      </div>
    </div>
  );
}

interface LevelProps {
  folder: Folder;
  files: (Artifact & { path: string })[];
  chosen: string;
  choose: (path: string) => void;
  isOpen: boolean;
}

function Level({ folder, files, chosen, choose, isOpen }: LevelProps) {
  return (
    <ul>
      {folder.folders.map((inner) => (
        <Branch key={inner.path} folder={inner} files={files} chosen={chosen} choose={choose} isOpen={isOpen} />
      ))}
      {folder.files.map((path) => (
        <li key={path}>
          <button type="button" class="file-row" aria-current={path === chosen ? "true" : undefined} onClick={() => choose(path)}>
            <Icon name="file" size={14} />
            <span class="file-name">{path.split("/").at(-1)}</span>
            <span class="quiet">{bytes(files.find((file) => file.path === path)?.size)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Branch({ folder, files, chosen, choose, isOpen }: LevelProps) {
  const [open, setOpen] = useState(isOpen || chosen.startsWith(`${folder.path}/`));
  return (
    <li>
      <button type="button" class="file-row" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name="folder" size={14} />
        <span class="file-name">{folder.name}</span>
        <span class="quiet">{bytes(folder.size)}</span>
      </button>
      {open && <Level folder={folder} files={files} chosen={chosen} choose={choose} isOpen={isOpen} />}
    </li>
  );
}
