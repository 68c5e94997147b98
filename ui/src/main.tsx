// SPDX-License-Identifier: Apache-2.0
// Starts the page: styles, the stream of ledger events, the shell.
import { render } from "preact";
import { catchUp, follow } from "./api.ts";
import { App } from "./app.tsx";
import { followPrinted } from "./printed.ts";
import { go, listen } from "./router.ts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";

listen();
void followPrinted((href) => go(href, { replace: true }));
window.addEventListener("hashchange", () => void followPrinted((href) => go(href, { replace: true })));
follow();
catchUp();
const place = document.getElementById("app");
if (place) render(<App />, place);
