// The page: files on the left, pictures in the middle, settings and answers on the right.

import { analysePanel } from "./analyse";
import { h, noticeBoard, say, segmented } from "./dom";
import { filesColumn, follow, openFile } from "./files";
import { resultPanel } from "./result";
import { stage } from "./stage";
import { on, state } from "./state";

const THEMES: [string, string][] = [["auto", "auto"], ["light", "light"], ["dark", "dark"]];

function theme(): HTMLElement {
  const kept = localStorage.getItem("theme") ?? "auto";
  const set = (value: string) => {
    localStorage.setItem("theme", value);
    document.documentElement.dataset.theme = value;
  };
  set(kept);
  return segmented("Theme", THEMES, kept, set);
}

const analyse = analysePanel();
const result = resultPanel();
const tabs = segmented("Panel", [["analyse", "Analyse"], ["result", "Result"]], "analyse", show);
const title = h("span", { className: "quiet", id: "file-name" });

function show(which: string): void {
  tabs.set(which);
  analyse.hidden = which !== "analyse";
  result.hidden = which !== "result";
}

on("run", () => show(state.run ? "result" : "analyse"));
on("file", () => {
  title.textContent = state.file?.name ?? "";
  document.title = state.file ? `${state.file.name} – friedel` : "friedel";
});

document.querySelector("#page")!.append(
  h("header", {}, h("h1", {}, "friedel"), title, h("span", { className: "grow" }), theme()),
  filesColumn(), stage(), h("aside", { className: "side", aria: { label: "Analysis and result" } }, tabs, analyse, result), noticeBoard());
show("analyse");
void follow();
const wanted = decodeURIComponent(location.hash.slice(1));
if (wanted) void openFile(wanted);
window.addEventListener("unhandledrejection", (event) => say(String((event.reason as Error | undefined)?.message ?? event.reason)));
