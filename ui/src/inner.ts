// SPDX-License-Identifier: Apache-2.0
// The styles of every page but Home: they come with the first of these that is opened.
import "./styles/charts.css";
import "./styles/files.css";
import "./styles/compare.css";
import "./styles/traces.css";
import "./styles/pipelines.css";
